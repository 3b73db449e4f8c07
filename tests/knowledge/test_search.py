"""Search: scripts, ranking, scopes and tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.knowledge import pgvector
from qwendesk.knowledge.knowledge_base import KnowledgeBase, open_knowledge
from qwendesk.knowledge.search import fuse_rankings
from qwendesk.memory.database import Database
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import EVERYBODY, DocumentScope
from tests import postgres_server
from tests.examples import examples
from tests.knowledge.conftest import WordVectors

PAGES = {
    "en.txt": "The kettle E-4711 may be sent back within thirty days.",
    "de.txt": "Die Wärmepumpe wird im Frühjahr gewartet.",
    "zh.txt": "电热水壶的保修期为两年，发票请妥善保管。",
    "ja.txt": "返品は三十日以内に限り受け付けます。",
    "th.txt": "ลูกค้าสามารถคืนสินค้าได้ภายในเจ็ดวัน",
    "ko.txt": "제주도는 추가 배송비가 있습니다.",
    "ar.txt": "الشحن مجاني للطلبات الكبيرة",
    "hi.txt": "सामान दस दिन के भीतर वापस किया जा सकता है",
}


async def fill(base: KnowledgeBase, pages: dict[str, str] = PAGES, scope: DocumentScope = EVERYBODY) -> None:
    for name, content in pages.items():
        await base.add_bytes(name, content.encode(), scope)


@pytest.mark.parametrize(
    ("question", "document"),
    [
        ("What is e-4711?", "en.txt"),
        ("WARMEPUMPE wartung", "de.txt"),
        ("发票", "zh.txt"),
        ("返品できますか", "ja.txt"),
        ("คืนสินค้า", "th.txt"),
        ("배송비는 얼마", "ko.txt"),
        ("مجاني", "ar.txt"),
        ("वापस", "hi.txt"),
    ],
)
async def test_words_find_their_document_in_any_script(base: KnowledgeBase, question: str, document: str) -> None:
    await fill(base)
    for mode in ("words", "hybrid"):
        found = await base.search(question, mode=mode)
        assert found[0].title == document, mode


async def test_meaning_finds_what_shares_no_word(base: KnowledgeBase) -> None:
    await fill(base, {"a.txt": "return goods here", "b.txt": "our dog is called Bello", "c.txt": "opening hours"})
    assert (await base.search("Rückgabe"))[0].title == "a.txt"
    assert await base.search("Rückgabe", mode="words") == []


@pytest.mark.parametrize(
    "question", ['"', "NEAR(a, b) OR *", "x' OR 1=1 --", "a:b AND NOT c", "\0\ud800", "( & | ! )", " "]
)
async def test_a_question_is_never_read_as_a_query_language(base: KnowledgeBase, question: str) -> None:
    await fill(base, {"a.txt": "near or not and x"})
    for mode in ("words", "hybrid"):
        assert {passage.title for passage in await base.search(question, mode=mode)} <= {"a.txt"}


async def test_a_passage_names_its_document_heading_and_line(base: KnowledgeBase, tmp_path: Path) -> None:
    (tmp_path / "shop.md").write_text("# Shop\n\nHello.\n\n## Returns\n\nThirty days.\n")
    await base.add(str(tmp_path / "shop.md"))
    passage = (await base.search("thirty days"))[0]
    assert passage.citation == "Shop, Returns, line 7"
    assert passage.uri == str(tmp_path / "shop.md")


async def test_words_alone_without_an_embedding_model(kb_url: str) -> None:
    async with open_knowledge(kb_url) as base:
        await fill(base)
        assert (await base.search("发票"))[0].title == "zh.txt"
        assert (await base.state()).model is None


async def test_words_alone_while_the_embedding_model_is_away(base: KnowledgeBase, embedder: WordVectors) -> None:
    await fill(base)
    embedder.is_away = True
    assert (await base.search("发票"))[0].title == "zh.txt"
    with pytest.raises(EngineUnavailable):
        await base.search("发票", mode="vectors")


async def test_what_is_not_near_enough_is_not_found(base: KnowledgeBase, embedder: WordVectors) -> None:
    await fill(base, {"a.txt": "return goods within thirty days", "b.txt": "the shop opens at nine"})
    question = "what penguins eat at sea"
    assert {passage.title for passage in await base.search(question)} == {"a.txt", "b.txt"}
    embedder.min_similarity = 0.45
    assert await base.search(question) == [] == await base.search(question, mode="vectors")
    assert [passage.title for passage in await base.search("Rückgabe goods")] == ["a.txt"]
    assert [passage.title for passage in await base.search("thirty")] == ["a.txt"], "words find what holds the question"


async def test_a_passage_without_a_vector_is_found_by_few_words(base: KnowledgeBase, embedder: WordVectors) -> None:
    embedder.min_similarity = 0.6
    await base.add_bytes("short.txt", b"unrelated and embedded")
    await base.add_bytes("long.txt", b"the kettle has a warranty", max_embedded_passages=0)
    question = "for how many years in total does a kettle work without any trouble"
    assert [passage.title for passage in await base.search(question)] == ["long.txt"]
    await base.reindex()
    assert await base.search(question) == [], "now its meaning is known, and too far off"


async def test_the_reason_for_nothing_is_told(base: KnowledgeBase, embedder: WordVectors, kb_url: str) -> None:
    assert "There are no documents yet: 'qwendesk kb add" in await base.explain_no_results()
    await fill(base, {"a.txt": "return goods"})
    assert "No passage is near enough" in await base.explain_no_results()
    embedder.is_away = True
    assert "does not answer: the embedding server is away" in await base.explain_no_results()
    async with open_knowledge(kb_url, WordVectors("test:other")) as other:
        assert "1 of 1 passages have no vector of test:other" in await other.explain_no_results()
        assert "qwendesk kb reindex" in await other.explain_no_results()
    async with open_knowledge(kb_url) as alone:
        assert "by words alone" in await alone.explain_no_results()


def test_fusion_prefers_what_both_found() -> None:
    scores = fuse_rankings([{1: 1.0, 2: 1.0, 3: 1.0}, {3: 1.0, 4: 1.0}])
    assert max(scores, key=lambda number: scores[number]) == 3
    assert scores[1] > scores[2] > scores[4] * 0.99


async def add_owners(url: str) -> None:
    """Store the people and conversations that the scopes below name."""
    database = Database(url, 5)
    now = "CURRENT_TIMESTAMP"
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO tenant (id, name) VALUES ('other', 'Other') ON CONFLICT DO NOTHING"))
        for tenant, number in product(("default", "other"), "12"):
            owner = f"{tenant}-{number}"
            await connection.execute(
                text(f"INSERT INTO person (id, tenant_id, created_at) VALUES ('p-{owner}', '{tenant}', {now})")
            )
            await connection.execute(
                text(
                    "INSERT INTO conversation (id, tenant_id, channel, account, external_id, next_sequence, title, "
                    "created_at, updated_at) "
                    f"VALUES ('c-{owner}', '{tenant}', 'test', '', '{owner}', 1, '', {now}, {now})"
                )
            )
    await database.aclose()


def scopes() -> list[DocumentScope]:
    found = []
    for tenant in ("default", "other"):
        people = [None, f"p-{tenant}-1", f"p-{tenant}-2"]
        talks = [None, f"c-{tenant}-1", f"c-{tenant}-2"]
        found += [DocumentScope(tenant, person, talk) for person, talk in product(people, talks)]
    return found


def may_read(reader: DocumentScope, document: DocumentScope) -> bool:
    return (
        reader.tenant == document.tenant
        and document.person in (None, reader.person)
        and document.conversation in (None, reader.conversation)
    )


@asynccontextmanager
async def of_both(url: str) -> AsyncIterator[dict[str, KnowledgeBase]]:
    async with (
        open_knowledge(url, WordVectors()) as mine,
        open_knowledge(url, WordVectors(), tenant="other") as theirs,
    ):
        yield {"default": mine, "other": theirs}


async def test_a_scope_of_another_tenant_is_refused(base: KnowledgeBase) -> None:
    with pytest.raises(ConfigError, match="The scope is of 'other'"):
        await base.search("secret", DocumentScope("other"))
    with pytest.raises(ConfigError, match="The scope is of 'other'"):
        await base.add_bytes("a.txt", b"secret", DocumentScope("other"))


async def test_nobody_finds_what_is_meant_for_another(kb_url: str) -> None:
    """Every scope has a document with the same words; each reader finds exactly the readable ones."""
    async with of_both(kb_url) as bases:
        await add_owners(kb_url)
        for number, scope in enumerate(scopes()):
            await bases[scope.tenant].add_bytes(f"{number}.txt", b"the secret recipe", scope)
        for reader in scopes():
            base = bases[reader.tenant]
            wanted = {f"{number}.txt" for number, scope in enumerate(scopes()) if may_read(reader, scope)}
            for mode in ("words", "vectors", "hybrid"):
                found = await base.search("secret recipe", reader, limit=50, mode=mode)
                assert {passage.title for passage in found} == wanted, (reader, mode)
            assert await base.has_documents(reader)


@pytest.mark.slow
@settings(max_examples=examples(15), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 17), st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
async def test_random_histories_keep_scopes_apart(tmp_path: Path, history: list[tuple[int, int, bool]]) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / uuid4().hex}.db"
    kept: dict[tuple[int, int], None] = {}
    async with of_both(url) as bases:
        await add_owners(url)
        for owner, name, is_added in history:
            scope = scopes()[owner]
            base = bases[scope.tenant]
            if is_added:
                await base.add_bytes(f"{name}.txt", f"recipe {owner}".encode(), scope)
                kept[owner, name] = None
            else:
                gone = [d.id for d in await base.documents() if d.scope == scope.key and d.title == f"{name}.txt"]
                await base.remove(gone)
                kept.pop((owner, name), None)
            for reader in scopes():
                found = await bases[reader.tenant].search("recipe", reader, limit=50)
                wanted = sorted(f"recipe {o}" for o, _ in kept if may_read(reader, scopes()[o]))
                assert sorted(passage.text for passage in found) == wanted


async def test_what_belongs_to_a_person_goes_with_the_person(kb_url: str, embedder: WordVectors) -> None:
    async with open_knowledge(kb_url, embedder) as base:
        await add_owners(kb_url)
        mine = DocumentScope("default", "p-default-1")
        await base.add_bytes("mine.txt", b"my secret", mine)
        await base.add_bytes("ours.txt", b"no secret", EVERYBODY)
        assert len(await base.search("secret", mine)) == 2
        database = Database(kb_url, 5)
        async with database.write() as connection:
            await connection.execute(text("DELETE FROM person WHERE id = 'p-default-1'"))
        async with database.read() as connection:
            left = await connection.execute(text("SELECT terms FROM kb_chunk"))
            assert [row[0] for row in left] == ["ours txt no secret"]
        await database.aclose()
        for mode in ("words", "vectors", "hybrid"):
            assert [passage.title for passage in await base.search("secret", mine, mode=mode)] == ["ours.txt"]


async def test_a_large_base_of_another_tenant_hides_nothing(kb_url: str) -> None:
    """The other tenant has better matches, and more of them than a search ranks."""
    async with of_both(kb_url) as bases:
        base = bases["default"]
        crowd = "\n\n".join(f"secret recipe {'x' * 800} {number}" for number in range(260))
        await bases["other"].add_bytes("crowd.txt", crowd.encode())
        await base.add_bytes("mine.txt", b"a secret recipe of which much more could be said here", EVERYBODY)
        await base.maintain_indexes()
        for mode in ("words", "vectors", "hybrid"):
            assert [p.title for p in await base.search("secret recipe", mode=mode)] == ["mine.txt"]


async def test_the_settings_of_a_search_by_index_hold_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the default settings of the server, the index returns 40 of 50 rows."""
    told = text("SELECT CAST(current_setting('hnsw.ef_search') AS int), 0.0")
    monkeypatch.setattr(pgvector, "search_statement", lambda *of, exact=False: told)
    with postgres_server.database() as url:
        memory = Memory(url)
        await memory.open()
        try:
            index = pgvector.PgVectorIndex(memory.database)
            if not await index.prepare("test:words", 64):
                pytest.skip("the server has no pgvector")
            found = await index.find("test:words", await WordVectors().embed_query("word"), EVERYBODY, 50)
        finally:
            await memory.aclose()
    assert list(found) == [pgvector.SEARCH_WIDTH]
