"""Measure search: is the right document among the first five, and how far up."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from qwendesk.errors import ConfigError
from qwendesk.memory.knowledge.base import EVERYBODY
from qwendesk.memory.knowledge.library import KnowledgeBase
from qwendesk.memory.knowledge.search import Mode

FIRST = 5
_DEPTH = 20
"""Passages that are looked through for the rank of a document."""
MODES: tuple[Mode, ...] = ("hybrid", "words", "vectors")


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the document that answers it."""

    text: str
    document: str
    """The document's name, title, address or id."""
    lang: str = ""


def read_questions(text: str, source: str) -> list[Question]:
    """Return the questions of JSON Lines.

    Raises:
        ConfigError: a line is not ``{"question", "document", "lang"}``.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            question = Question(str(row["question"]), str(row["document"]), str(row.get("lang", "")))
            if not (question.text.strip() and question.document.strip()):
                raise ValueError("empty")
            found.append(question)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ConfigError(
                f'Line {number} of {source!r} is not {{"question": ..., "document": ..., "lang": ...}}.'
            ) from None
    if not found:
        raise ConfigError(f"{source!r} holds no questions.")
    return found


def built_in_questions() -> list[Question]:
    """Return the questions that come with the program."""
    return read_questions(_data("help_questions.jsonl"), "help_questions.jsonl")


async def add_built_in(base: KnowledgeBase, told: Callable[[int, int], None]) -> None:
    """Take in the documents of the built-in questions."""
    documents = [json.loads(line) for line in _data("help_documents.jsonl").splitlines()]
    for number, document in enumerate(documents):
        told(number, len(documents))
        body = f"# {document['title']}\n\n{document['text']}\n"
        await base.add_bytes(f"{document['id']}.md", body.encode(), EVERYBODY)
    told(len(documents), len(documents))


async def evaluate(base: KnowledgeBase, questions: Sequence[Question]) -> dict[str, Any]:
    """Return recall@5 and MRR of each way of searching, and those of the best one for each language."""
    modes = MODES if base.model else ("words",)
    result: dict[str, Any] = {"questions": len(questions), "model": base.model}
    for mode in modes:
        ranks, times = await ranks_of(base, mode, questions)
        result[mode] = summary(ranks) | {"ms_p50": round(statistics.median(times), 1)}
        if mode == modes[0]:
            languages = sorted({question.lang for question in questions if question.lang})
            result["by_language"] = {
                lang: summary([rank for rank, question in zip(ranks, questions, strict=True) if question.lang == lang])
                for lang in languages
            }
            result["missed"] = [
                question.text for rank, question in zip(ranks, questions, strict=True) if not 0 < rank <= FIRST
            ]
    return result


async def unknown_documents(base: KnowledgeBase, questions: Sequence[Question]) -> list[str]:
    """Return the documents that questions name and the base does not have."""
    there = [(document.id, document.title, document.uri) for document in await base.documents()]
    named = dict.fromkeys(question.document for question in questions)
    return [name for name in named if not any(_is(name, names) for names in there)]


async def ranks_of(base: KnowledgeBase, mode: Mode, questions: Sequence[Question]) -> tuple[list[int], list[float]]:
    """Return for each question at which rank the document stands, 0 for nowhere, and how long it took."""
    ranks, times = [], []
    for question in questions:
        begun = time.perf_counter()
        found = await base.search(question.text, limit=_DEPTH, mode=mode)
        times.append((time.perf_counter() - begun) * 1e3)
        documents = list(dict.fromkeys((passage.document, passage.title, passage.uri) for passage in found))
        ranks.append(next((rank for rank, names in enumerate(documents, 1) if _is(question.document, names)), 0))
    return ranks, times


def _is(wanted: str, names: tuple[str, str, str]) -> bool:
    return wanted in names or Path(names[2].removeprefix("sent:")).stem == wanted or Path(names[2]).name == wanted


def summary(ranks: Sequence[int]) -> dict[str, float]:
    """Return recall@5 and the mean of the inverse ranks."""
    hits = sum(0 < rank <= FIRST for rank in ranks)
    return {
        "questions": len(ranks),
        "recall5": round(hits / len(ranks), 4),
        "mrr": round(sum(1 / rank for rank in ranks if rank) / len(ranks), 4),
    }


def _data(name: str) -> str:
    return resources.files(__package__).joinpath("data", name).read_text("utf-8")
