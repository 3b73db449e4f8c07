"""Measure search: recall among the first five documents, and mean reciprocal rank."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwendesk.errors import ConfigError
from qwendesk.knowledge.base import EmbeddingModel, Vectors
from qwendesk.knowledge.evaluation.question_sets import LanguageQuestions, QuestionSet
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.knowledge.search import SearchMode
from qwendesk.memory.records import EVERYBODY

TOP_RANKS = 5
_MAX_RANK = 20
"""Passages among which a document is ranked."""
MODES: tuple[SearchMode, ...] = ("hybrid", "words", "vectors")
OpenBase = Callable[[str], AbstractAsyncContextManager[KnowledgeBase]]
"""Opens an empty knowledge base for the documents of one language."""
LanguageProgress = Callable[[str, int, int], None]
"""Receives a language, the number of its added documents, and the total."""


@dataclass(frozen=True, slots=True)
class SearchQuestion:
    """A question and the document that answers it."""

    text: str
    document: str
    """Name, title, URI or id of the document."""
    lang: str = ""


def read_questions(text: str, source: str) -> list[SearchQuestion]:
    """Parse questions from JSON Lines.

    Raises:
        ConfigError: a line is not ``{"question", "document", "lang"}``.
    """
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            question = SearchQuestion(str(row["question"]), str(row["document"]), str(row.get("lang", "")))
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


def built_in_questions() -> list[SearchQuestion]:
    """Return the built-in questions."""
    return read_questions(_data("help_questions.jsonl"), "help_questions.jsonl")


async def add_built_in_documents(base: KnowledgeBase, told: Callable[[int, int], None]) -> None:
    """Add the documents of the built-in questions."""
    documents = [json.loads(line) for line in _data("help_documents.jsonl").splitlines()]
    for number, document in enumerate(documents):
        told(number, len(documents))
        body = f"# {document['title']}\n\n{document['text']}\n"
        await base.add_bytes(f"{document['id']}.md", body.encode(), EVERYBODY)
    told(len(documents), len(documents))


async def evaluate(base: KnowledgeBase, questions: Sequence[SearchQuestion]) -> dict[str, Any]:
    """Return recall@5 and MRR of each search mode, and of the best mode by language."""
    modes = MODES if base.model else ("words",)
    result: dict[str, Any] = {"questions": len(questions), "model": base.model}
    for mode in modes:
        ranks, times = await rank_documents(base, mode, questions)
        result[mode] = summarise(ranks) | {"ms_p50": round(statistics.median(times), 1)}
        if mode == modes[0]:
            languages = sorted({question.lang for question in questions if question.lang})
            result["by_language"] = {
                lang: summarise(
                    [rank for rank, question in zip(ranks, questions, strict=True) if question.lang == lang]
                )
                for lang in languages
            }
            result["missed"] = [
                question.text for rank, question in zip(ranks, questions, strict=True) if not 0 < rank <= TOP_RANKS
            ]
    return result


async def missing_documents(base: KnowledgeBase, questions: Sequence[SearchQuestion]) -> list[str]:
    """Return the documents that questions name and the knowledge base lacks."""
    there = [(document.id, document.title, document.uri) for document in await base.documents()]
    named = dict.fromkeys(question.document for question in questions)
    return [name for name in named if not any(_is_document(name, names) for names in there)]


async def rank_documents(
    base: KnowledgeBase, mode: SearchMode, questions: Sequence[SearchQuestion]
) -> tuple[list[int], list[float]]:
    """Return the rank of each question's document (0: not found) and the times in milliseconds."""
    ranks, times = [], []
    for question in questions:
        begun = time.perf_counter()
        found = await base.search(question.text, limit=_MAX_RANK, mode=mode)
        times.append((time.perf_counter() - begun) * 1e3)
        documents = list(dict.fromkeys((passage.document, passage.title, passage.uri) for passage in found))
        ranks.append(
            next((rank for rank, names in enumerate(documents, 1) if _is_document(question.document, names)), 0)
        )
    return ranks, times


def _is_document(wanted: str, names: tuple[str, str, str]) -> bool:
    return wanted in names or Path(names[2].removeprefix("sent:")).stem == wanted or Path(names[2]).name == wanted


def summarise(ranks: Sequence[int]) -> dict[str, float]:
    """Return recall@5 and mean reciprocal rank."""
    hits = sum(0 < rank <= TOP_RANKS for rank in ranks)
    return {
        "questions": len(ranks),
        "recall5": round(hits / len(ranks), 4),
        "mrr": round(sum(1 / rank for rank in ranks if rank) / len(ranks), 4),
    }


def _data(name: str) -> str:
    return resources.files(__package__).joinpath("data", name).read_text("utf-8")


class CachedEmbeddingModel:
    """An embedding model that caches the vectors of questions, which are searched in many modes and languages."""

    def __init__(self, model: EmbeddingModel) -> None:
        self._model = model
        self._known: dict[str, NDArray[np.float32]] = {}
        self.name = model.name
        self.min_similarity = model.min_similarity

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""
        return await self._model.embed_documents(texts)

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question."""
        if text not in self._known:
            self._known[text] = await self._model.embed_query(text)
        return self._known[text]


@dataclass(slots=True)
class _Ranks:
    """Ranks by pair of languages and search mode."""

    ranks: dict[tuple[str, str], dict[SearchMode, list[int]]] = field(default_factory=dict)
    nothing: list[bool] = field(default_factory=list)
    """Whether nothing was found, for each question that no document answers."""

    def of(self, *, across: bool, mode: SearchMode) -> list[int]:
        """Return all ranks within languages, or all ranks across languages."""
        return [
            rank
            for (asked, answered), modes in self.ranks.items()
            if (asked != answered) == across
            for rank in modes[mode]
        ]


async def evaluate_set(questions: QuestionSet, opened: OpenBase, step: LanguageProgress) -> dict[str, Any]:
    """Return recall@5 and MRR of each search mode, in total and by language.

    Every language is searched with its own questions. Across languages, documents in the pivot language are searched
    with the questions of all others, and documents in all others with the questions of the pivot language.
    """
    runs, model = _Ranks(), None
    for answering in questions.languages:
        async with opened(answering.code) as base:
            model = base.model
            async for done in _add_documents(base, answering):
                step(answering.code, done, len(answering.documents))
            for asking in _asking_languages(questions, answering):
                await _ask(base, asking, answering, runs)
            runs.nothing += [not await base.search(text) for text in questions.off_topic]
    return _report(questions, model, runs)


async def _add_documents(base: KnowledgeBase, language: LanguageQuestions) -> AsyncIterator[int]:
    for number, (name, text) in enumerate(language.documents.items()):
        yield number
        await base.add_bytes(f"{name}.txt", text.encode(), EVERYBODY)


def _asking_languages(questions: QuestionSet, answering: LanguageQuestions) -> Iterator[LanguageQuestions]:
    for language in questions.languages:
        if language is answering or questions.pivot in (language.code, answering.code):
            yield language


async def _ask(base: KnowledgeBase, asking: LanguageQuestions, answering: LanguageQuestions, runs: _Ranks) -> None:
    asked = [
        SearchQuestion(text, answering.questions[name][1], asking.code)
        for name, (text, _) in asking.questions.items()
        if name in answering.questions
    ]
    pair = runs.ranks.setdefault((asking.code, answering.code), {})
    for mode in _modes(base.model):
        pair[mode], _ = await rank_documents(base, mode, asked)


def _modes(model: str | None) -> Sequence[SearchMode]:
    return MODES if model else ("words",)


def _report(questions: QuestionSet, model: str | None, runs: _Ranks) -> dict[str, Any]:
    modes = _modes(model)
    off_topic = {"questions": len(runs.nothing), "nothing_found": round(statistics.fmean(runs.nothing or [0]), 4)}
    return {
        "set": questions.name,
        "model": model,
        "questions": len(runs.of(across=False, mode=modes[0])),
        **{mode: summarise(runs.of(across=False, mode=mode)) for mode in modes},
        "by_language": {
            asked: _summaries(ranks) for (asked, answered), ranks in runs.ranks.items() if asked == answered
        },
        "across": {mode: summarise(ranks) for mode in modes if (ranks := runs.of(across=True, mode=mode))},
        "by_pair": {
            f"{asked}>{answered}": _summaries(ranks)
            for (asked, answered), ranks in runs.ranks.items()
            if asked != answered
        },
        "off_topic": off_topic if runs.nothing else None,
    }


def _summaries(ranks: Mapping[SearchMode, Sequence[int]]) -> dict[str, Any]:
    return {mode: summarise(found) for mode, found in ranks.items() if found}
