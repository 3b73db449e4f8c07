"""Measure search on a question set: inside each language, and from one language into another."""

from __future__ import annotations

import statistics
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwendesk.memory.knowledge.base import EVERYBODY, Embeds, Vectors
from qwendesk.memory.knowledge.evaluation import MODES, Question, ranks_of, summary
from qwendesk.memory.knowledge.library import KnowledgeBase
from qwendesk.memory.knowledge.question_sets import Language, QuestionSet
from qwendesk.memory.knowledge.search import Mode

OpenBase = Callable[[str], AbstractAsyncContextManager[KnowledgeBase]]
"""Opens an empty base for the documents of one language."""
Step = Callable[[str, int, int], None]
"""Is told a language, how many of its documents are in, and of how many."""


class Remembering:
    """An embedding model that is asked once for each question, though that is searched in many ways and languages."""

    def __init__(self, model: Embeds) -> None:
        self._model = model
        self._known: dict[str, NDArray[np.float32]] = {}
        self.name = model.name
        self.weakest = model.weakest

    async def documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""
        return await self._model.documents(texts)

    async def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question."""
        if text not in self._known:
            self._known[text] = await self._model.query(text)
        return self._known[text]


@dataclass(slots=True)
class _Runs:
    """The ranks of each pair of languages, by the way of searching."""

    ranks: dict[tuple[str, str], dict[Mode, list[int]]] = field(default_factory=dict)
    nothing: list[bool] = field(default_factory=list)
    """For each question that no document answers, whether nothing was found."""

    def of(self, *, across: bool, mode: Mode) -> list[int]:
        """Return all ranks inside the languages, or all of those across them."""
        return [
            rank
            for (asked, answered), modes in self.ranks.items()
            if (asked != answered) == across
            for rank in modes[mode]
        ]


async def evaluate_set(questions: QuestionSet, opened: OpenBase, step: Step) -> dict[str, Any]:
    """Return recall@5 and MRR of each way of searching, together and by language.

    Questions in the documents' own language are asked in every language; across languages those of all others are asked
    of the documents in the set's pivot, and the pivot's questions of the documents in all others.
    """
    runs, model = _Runs(), None
    for answering in questions.languages:
        async with opened(answering.code) as base:
            model = base.model
            async for done in _filled(base, answering):
                step(answering.code, done, len(answering.documents))
            for asking in _asking(questions, answering):
                await _ask(base, asking, answering, runs)
            runs.nothing += [not await base.search(text) for text in questions.off_topic]
    return _told(questions, model, runs)


async def _filled(base: KnowledgeBase, language: Language) -> AsyncIterator[int]:
    for number, (name, text) in enumerate(language.documents.items()):
        yield number
        await base.add_bytes(f"{name}.txt", text.encode(), EVERYBODY)


def _asking(questions: QuestionSet, answering: Language) -> Iterator[Language]:
    for language in questions.languages:
        if language is answering or questions.pivot in (language.code, answering.code):
            yield language


async def _ask(base: KnowledgeBase, asking: Language, answering: Language, runs: _Runs) -> None:
    asked = [
        Question(text, answering.questions[name][1], asking.code)
        for name, (text, _) in asking.questions.items()
        if name in answering.questions
    ]
    pair = runs.ranks.setdefault((asking.code, answering.code), {})
    for mode in _modes(base.model):
        pair[mode], _ = await ranks_of(base, mode, asked)


def _modes(model: str | None) -> Sequence[Mode]:
    return MODES if model else ("words",)


def _told(questions: QuestionSet, model: str | None, runs: _Runs) -> dict[str, Any]:
    modes = _modes(model)
    off_topic = {"questions": len(runs.nothing), "nothing_found": round(statistics.fmean(runs.nothing or [0]), 4)}
    return {
        "set": questions.name,
        "model": model,
        "questions": len(runs.of(across=False, mode=modes[0])),
        **{mode: summary(runs.of(across=False, mode=mode)) for mode in modes},
        "by_language": {asked: _rows(ranks) for (asked, answered), ranks in runs.ranks.items() if asked == answered},
        "across": {mode: summary(ranks) for mode in modes if (ranks := runs.of(across=True, mode=mode))},
        "by_pair": {
            f"{asked}>{answered}": _rows(ranks) for (asked, answered), ranks in runs.ranks.items() if asked != answered
        },
        "off_topic": off_topic if runs.nothing else None,
    }


def _rows(ranks: Mapping[Mode, Sequence[int]]) -> dict[str, Any]:
    return {mode: summary(found) for mode, found in ranks.items() if found}
