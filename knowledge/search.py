"""Hybrid search: what full text finds and what vectors find, joined by reciprocal rank fusion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal

from qwendesk.errors import EngineError
from qwendesk.knowledge.base import EmbeddingModel, Passage
from qwendesk.knowledge.document_repository import DocumentRepository
from qwendesk.knowledge.fulltext import FullTextIndex
from qwendesk.knowledge.vectors import VectorIndex
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope

SearchMode = Literal["hybrid", "words", "vectors"]

CANDIDATES_PER_RANKING = 50
"""How many each of the two ways brings in."""
_RRF_CONSTANT = 60
"""The constant of reciprocal rank fusion, as usual."""
_MIN_COVERED_SHARE = 0.6
"""Share of a question that a passage has to cover for its words to count beside its meaning."""
_MAX_QUESTION_CHARS = 2_000
"""Letters of a question that are searched for."""


class HybridSearch:
    """Finds passages by words and by meaning."""

    def __init__(
        self,
        database: Database,
        shelf: DocumentRepository,
        full_text: FullTextIndex,
        nearest: VectorIndex,
        embedder: EmbeddingModel | None,
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._full_text = full_text
        self._nearest = nearest
        self._embedder = embedder

    async def find(
        self, question: str, scope: DocumentScope, limit: int = 5, mode: SearchMode = "hybrid"
    ) -> list[Passage]:
        """Return the best passages that the scope may read, best first."""
        question = question.strip()[:_MAX_QUESTION_CHARS]
        if not question or limit < 1:
            return []
        alike, covers = await self._both_ways(question, scope, mode)
        words = dict.fromkeys(covers, 1.0) if alike is None else await self._beside_meaning(covers)
        scores = fuse_rankings([words, alike or {}])
        best = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: limit * 2])
        return (await self._shelf.passages(best, scope))[:limit] if best else []

    async def _both_ways(
        self, question: str, scope: DocumentScope, mode: SearchMode
    ) -> tuple[dict[int, float] | None, dict[int, float]]:
        """Return what is near in meaning, if that can be told, and what words find."""
        if mode == "vectors":
            return await self._by_meaning(question, scope, required=True), {}
        if mode == "words":
            return None, await self._by_words(question, scope)
        by_meaning = self._by_meaning(question, scope, required=False)
        if self._database.is_sqlite:
            # side by side, their threads would hand Python's lock to and fro, which takes longer
            return await by_meaning, await self._by_words(question, scope)
        return await asyncio.gather(by_meaning, self._by_words(question, scope))

    async def _by_words(self, question: str, scope: DocumentScope) -> dict[int, float]:
        """Return what words find, best first, and how much of the question each covers."""
        async with self._database.read() as connection:
            return await self._full_text.find(connection, question, scope, CANDIDATES_PER_RANKING)

    async def _beside_meaning(self, covers: Mapping[int, float]) -> dict[int, float]:
        """Let words count where a passage holds most of the question (a name, a number), or has no vector yet."""
        assert self._embedder
        weights = {number: (share - _MIN_COVERED_SHARE) / (1 - _MIN_COVERED_SHARE) for number, share in covers.items()}
        few = [number for number, weight in weights.items() if weight <= 0]
        known = await self._shelf.embedded(few, self._embedder.name) if few else set()
        weights |= {number: covers[number] for number in few if number not in known}
        return {number: weight for number, weight in weights.items() if weight > 0}

    async def _by_meaning(self, question: str, scope: DocumentScope, *, required: bool) -> dict[int, float] | None:
        """Return what is near in meaning; None where that cannot be told, and words have to do."""
        if self._embedder is None:
            return None
        try:
            vector = await self._embedder.query(question)
        except EngineError:
            # a server that is away must not take the words' findings with it
            if required:
                raise
            return None
        alike = await self._nearest.find(self._embedder.name, vector, scope, CANDIDATES_PER_RANKING)
        weakest = self._embedder.weakest
        return {number: 1.0 for number, likeness in alike.items() if weakest is None or likeness >= weakest}


def fuse_rankings(rankings: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return a score for each number that stands in a ranking: high in several is best.

    Each entry has a weight from 0 to 1. Words that are in nearly every passage, and the few that two languages share,
    would otherwise push aside what was found by meaning.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (number, weight) in enumerate(ranking.items(), 1):
            scores[number] = scores.get(number, 0.0) + weight / (_RRF_CONSTANT + rank)
    return scores
