"""Hybrid search: what full text finds and what vectors find, joined by reciprocal rank fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from qwendesk.errors import EngineError
from qwendesk.memory.database import Database
from qwendesk.memory.knowledge.base import Embeds, Passage, Scope
from qwendesk.memory.knowledge.fulltext import FullText
from qwendesk.memory.knowledge.nearest import Nearest
from qwendesk.memory.knowledge.shelf import Shelf

Mode = Literal["hybrid", "words", "vectors"]

CANDIDATES = 50
"""How many each of the two ways brings in."""
_SMOOTH = 60
"""The constant of reciprocal rank fusion, as usual."""
_ENOUGH = 0.3
"""Share of a question that a passage has to cover for its words to count beside its meaning."""
_LONGEST = 2_000
"""Letters of a question that are searched for."""


class Search:
    """Finds passages by words and by meaning."""

    def __init__(
        self, database: Database, shelf: Shelf, full_text: FullText, nearest: Nearest, embedder: Embeds | None
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._full_text = full_text
        self._nearest = nearest
        self._embedder = embedder

    async def find(self, question: str, scope: Scope, limit: int = 5, mode: Mode = "hybrid") -> list[Passage]:
        """Return the best passages that the scope may read, best first."""
        question = question.strip()[:_LONGEST]
        if not question or limit < 1:
            return []
        ranked = []
        # one after the other: side by side, their threads hand Python's lock to and fro, which takes longer
        if mode != "vectors":
            ranked.append(await self._by_words(question, scope, alone=mode == "words" or self._embedder is None))
        if mode != "words":
            ranked.append(await self._by_meaning(question, scope, required=mode == "vectors"))
        scores = fuse(ranked)
        best = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: limit * 2])
        return (await self._shelf.passages(best, scope))[:limit] if best else []

    async def _by_words(self, question: str, scope: Scope, *, alone: bool) -> dict[int, float]:
        async with self._database.read() as connection:
            covers = await self._full_text.find(connection, question, scope, CANDIDATES)
        if alone:
            return dict.fromkeys(covers, 1.0)
        # beside vectors, words count where a passage holds a good part of the question: a name, a number, a phrase
        return {number: (share - _ENOUGH) / (1 - _ENOUGH) for number, share in covers.items() if share > _ENOUGH}

    async def _by_meaning(self, question: str, scope: Scope, *, required: bool) -> dict[int, float]:
        if self._embedder is None:
            return {}
        try:
            vector = await self._embedder.query(question)
        except EngineError:
            # a server that is away must not take the words' findings with it
            if required:
                raise
            return {}
        return dict.fromkeys(await self._nearest.find(self._embedder.name, vector, scope, CANDIDATES), 1.0)


def fuse(rankings: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return a score for each number that stands in a ranking: high in several is best.

    Each entry has a weight from 0 to 1. Words that are in nearly every passage, and the few that two languages share,
    would otherwise push aside what was found by meaning.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (number, weight) in enumerate(ranking.items(), 1):
            scores[number] = scores.get(number, 0.0) + weight / (_SMOOTH + rank)
    return scores
