"""Ingestion: documents are stored completely or not at all, and once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from qwendesk.errors import EngineUnavailable, InputError
from qwendesk.knowledge import chunking, document_repository, ingestion
from qwendesk.knowledge.ingestion import expand_sources
from qwendesk.knowledge.knowledge_base import KnowledgeBase, open_knowledge
from qwendesk.memory.records import EVERYBODY
from tests.knowledge.conftest import WordVectors


async def test_an_unchanged_file_is_not_read_again(base: KnowledgeBase, embedder: WordVectors, tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("# A\nfirst\n")
    assert (await base.add(str(file))).status == "added"
    count = len(embedder.embedded)
    assert (await base.add(str(file))).status == "unchanged"
    assert len(embedder.embedded) == count
    file.write_text("# A\nsecond\n")
    assert (await base.add(str(file))).status == "updated"
    assert [p.text for p in await base.search("first second")] == ["second"]
    assert (await base.state()).documents == 1


async def test_nothing_is_half_written_when_the_model_fails(base: KnowledgeBase, embedder: WordVectors) -> None:
    await base.add_bytes("a.txt", b"the old text", EVERYBODY)
    embedder.is_away = True
    with pytest.raises(EngineUnavailable):
        await base.add_bytes("a.txt", b"the new text", EVERYBODY)
    embedder.is_away = False
    assert [p.text for p in await base.search("text")] == ["the old text"]
    state = await base.state()
    assert (state.documents, state.passages, state.embedded) == (1, 1, 1)


async def test_stopping_in_the_middle_leaves_the_old_document(
    base: KnowledgeBase, embedder: WordVectors, monkeypatch: pytest.MonkeyPatch
) -> None:
    await base.add_bytes("a.txt", b"the old text", EVERYBODY)
    reached = asyncio.Event()

    async def stall(texts: object) -> object:
        reached.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(embedder, "embed_documents", stall)
    adding = asyncio.create_task(base.add_bytes("a.txt", b"the new text", EVERYBODY))
    await reached.wait()
    adding.cancel()
    await asyncio.gather(adding, return_exceptions=True)
    assert [p.text for p in await base.search("text")] == ["the old text"]


async def test_folders_are_opened_and_hidden_files_left(tmp_path: Path) -> None:
    for name in ("a.md", "b/c.txt", "b/d.bin", ".git/e.md", ".f.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = await expand_sources([str(tmp_path), "http://example.org/x"])
    assert [Path(each).name for each in found] == ["a.md", "c.txt", "x"]


async def test_another_model_is_never_mixed_in(kb_url: str) -> None:
    old, new = WordVectors("test:old", 64), WordVectors("test:new", 32)
    async with open_knowledge(kb_url, old) as base:
        await base.add_bytes("a.txt", b"cats and dogs", EVERYBODY)
    async with open_knowledge(kb_url, new) as base:
        await base.add_bytes("b.txt", b"cats alone", EVERYBODY)
        assert [p.title for p in await base.search("cats", mode="vectors")] == ["b.txt"]
        state = await base.state()
        assert (state.passages, state.embedded) == (2, 1)
        steps: list[tuple[int, int]] = []
        assert await base.reindex(lambda done, total: steps.append((done, total))) == 1
        assert steps == [(1, 1)]
        assert {p.title for p in await base.search("cats", mode="vectors")} == {"a.txt", "b.txt"}
        assert await base.reindex() == 0
        assert await base.reindex(replace_vectors=True) == 2
        assert {p.title for p in await base.search("cats", mode="vectors")} == {"a.txt", "b.txt"}


async def test_removing_takes_everything(base: KnowledgeBase, kb_url: str) -> None:
    await base.add_bytes("a.txt", b"cats", EVERYBODY)
    await base.add_bytes("b.txt", b"cats too", EVERYBODY)
    first = (await base.documents())[0]
    assert first.title == "a.txt"
    async with open_knowledge(kb_url, tenant="other") as other:
        assert await other.remove([first.id]) == 0
    assert await base.remove([first.id]) == 1
    for mode in ("words", "vectors", "hybrid"):
        assert [p.title for p in await base.search("cats", mode=mode)] == ["b.txt"]


async def test_a_second_program_sees_what_the_first_added(kb_url: str) -> None:
    async with open_knowledge(kb_url, WordVectors()) as one, open_knowledge(kb_url, WordVectors()) as two:
        await one.add_bytes("a.txt", b"cats", EVERYBODY)
        assert len(await two.search("cats", mode="vectors")) == 1
        await one.add_bytes("b.txt", b"cats too", EVERYBODY)
        assert len(await two.search("cats", mode="vectors")) == 2
        await two.remove([document.id for document in await two.documents()][:1])
        assert len(await one.search("cats", mode="vectors")) == 1


async def test_what_an_older_version_cut_is_taken_in_anew(
    base: KnowledgeBase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("cats")
    await base.add(str(tmp_path / "a.md"))
    assert await base.reread_outdated() == 0
    for module in (chunking, ingestion, document_repository):
        monkeypatch.setattr(module, "CONVERSION_VERSION", 99)
    assert await base.reread_outdated() == 1


@pytest.mark.parametrize(
    "name", ['it\'s "quoted" `x`; DROP TABLE.txt', "nul\0byte.txt", "\ud800.txt", "新しい 資料.txt", "a\nb.txt"]
)
async def test_any_name_is_kept_harmlessly(base: KnowledgeBase, name: str) -> None:
    await base.add_bytes(name, b"cats", EVERYBODY)
    passage = (await base.search("cats"))[0]
    assert "\n" not in passage.citation and "\0" not in passage.citation
    assert (await base.documents())[0].title


@pytest.mark.parametrize(
    ("source", "reason"),
    [("nowhere.md", "no such file"), (".", "no file"), ("a\0b.md", "cannot be read"), ("x" * 5000, "cannot be read")],
)
async def test_a_path_that_cannot_be_read_is_refused(base: KnowledgeBase, source: str, reason: str) -> None:
    outcome = await base.add(source)
    assert outcome.status == "refused" and reason in outcome.detail
    assert (await base.state()).documents == 0


async def test_a_file_of_500_mb_is_refused_unread(base: KnowledgeBase, tmp_path: Path) -> None:
    file = tmp_path / "huge.pdf"
    with file.open("wb") as out:
        out.write(b"%PDF-1.7\n")
        out.truncate(500_000_000)
    outcome = await base.add(str(file))
    assert outcome.status == "refused" and "500 MB; the limit is 100 MB" in outcome.detail
    assert outcome.seconds < 5


async def test_bytes_over_the_limit_are_refused_as_too_large(base: KnowledgeBase) -> None:
    scope = await base.scope_of("python", "", "ann", "c")
    with pytest.raises(InputError, match="the limit is 100 MB") as refused:
        await base.add_bytes("a.txt", bytes(100_000_001), scope)
    assert refused.value.problem == "too_large"
