"""Hybrid search: results of full text and of vectors, combined by reciprocal rank fusion."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

import numpy as np

from qwendesk.errors import EngineError
from qwendesk.knowledge.answerability import (
    Verdict,
    content_words,
    judge_by_meaning,
    judge_by_words,
    load_weights,
)
from qwendesk.knowledge.base import EmbeddingModel, Passage
from qwendesk.knowledge.document_repository import DocumentRepository
from qwendesk.knowledge.fulltext import FullTextIndex
from qwendesk.knowledge.quotation import MAX_QUOTE_CHARS, choose_quote, split_sentences
from qwendesk.knowledge.vectors import VectorIndex
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.messages import SEARCH_OUTCOMES
from qwendesk.search_terms import index_terms, query_terms

SearchMode = Literal["hybrid", "words", "vectors"]
CANDIDATES_PER_RANKING = 50
"""Number of passages that each ranking contributes."""
_RRF_CONSTANT = 60
"""The usual constant of reciprocal rank fusion."""
_MIN_COVERED_SHARE = 0.6
"""Least coverage of a question at which a word match counts beside vector similarity."""
_MAX_QUESTION_CHARS = 2_000
"""Characters of a question that are searched for."""


class HybridSearch:
    """Finds passages by full text and by vectors."""

    def __init__(
        self,
        database: Database,
        repository: DocumentRepository,
        full_text: FullTextIndex,
        vector_index: VectorIndex,
        embedder: EmbeddingModel | None,
    ) -> None:
        self._database = database
        self._repository = repository
        self._full_text = full_text
        self._vector_index = vector_index
        self._embedder = embedder

    async def find(
        self, question: str, scope: DocumentScope, limit: int = 5, mode: SearchMode = "hybrid"
    ) -> list[Passage]:
        """Return the best passages that the scope may read, best first."""
        question = question.strip()[:_MAX_QUESTION_CHARS]
        if not question or limit < 1:
            return []
        alike, covers = await self._rankings(question, scope, mode)
        words = dict.fromkeys(covers, 1.0) if alike is None else await self._word_weights(covers)
        scores = fuse_rankings([words, alike or {}])
        best = dict(sorted(scores.items(), key=lambda item: (-item[1], item[0]))[: limit * 2])
        return (await self._repository.passages(best, scope))[:limit] if best else []

    async def judge(self, question: str, scope: DocumentScope, language: str | None = None) -> Verdict | None:
        """Decide whether passages that the scope may read answer a question; None: there are none that could.

        By vectors where the weights fit the embedding model and the passages have their vectors, else by words.
        """
        question = question.strip()[:_MAX_QUESTION_CHARS]
        words = content_words(question)
        covers = await self._word_coverage(words, scope) if words else {}
        if self._embedder is None or self._embedder.name != load_weights().model:
            return await self._judge_others(question, scope, covers)
        try:
            vector = await self._embedder.embed_query(question)
        except EngineError:
            return await self._judge_others(question, scope, covers)
        name = self._embedder.name
        alike = await self._vector_index.find(name, vector, scope, CANDIDATES_PER_RANKING)
        numbers = [*dict.fromkeys([*alike, *covers])]
        passages = await self._repository.passages(dict.fromkeys(numbers, 0.0), scope) if numbers else []
        vectors = await self._repository.vectors(numbers, name) if numbers else {}
        embedded = [passage for passage in passages if passage.chunk in vectors]
        by_words = [(passage, covers.get(passage.chunk, 0.0)) for passage in passages if passage.chunk not in vectors]
        by_words.sort(key=lambda item: -item[1])
        told = judge_by_words(question, by_words)
        if not embedded:
            return told
        rows = np.array([vectors[passage.chunk] for passage in embedded])
        meant = judge_by_meaning(question, language, vector, embedded, rows)
        # words only add what the vectors do not cover yet
        better = SEARCH_OUTCOMES[: SEARCH_OUTCOMES.index(meant.outcome)]
        return told if told.outcome in ("answered", "possible") and told.outcome in better else meant

    async def quotes(self, question: str, passages: Sequence[Passage]) -> list[str]:
        """Return the part of each passage that is quoted as the answer to a question."""
        parts = [[] if len(one.text) <= MAX_QUOTE_CHARS else split_sentences(one.text) for one in passages]
        if not any(parts):
            return [one.text for one in passages]
        score = await self._sentence_scores(question, parts)
        return [choose_quote(one.text, score[at]) if parts[at] else one.text for at, one in enumerate(passages)]

    async def _sentence_scores(self, question: str, parts: Sequence[list[str]]) -> list[list[float]]:
        """Return how near each sentence is to a question, by vectors, or by shared terms without an embedding model."""
        if self._embedder is not None:
            with suppress(EngineError):
                vector = await self._embedder.embed_query(question)
                return [
                    [float(score) for score in await self._embedder.embed_documents(sentences) @ vector]
                    if sentences
                    else []
                    for sentences in parts
                ]
        asked = set(query_terms(question))
        return [[float(len(asked & set(index_terms(one)))) for one in sentences] for sentences in parts]

    async def _judge_others(self, question: str, scope: DocumentScope, covers: Mapping[int, float]) -> Verdict | None:
        """Decide by words; passages that only an embedding model without weights finds may answer."""
        passages = await self._repository.passages(covers, scope) if covers else []
        verdict = judge_by_words(question, [(passage, passage.score) for passage in passages])
        if self._embedder is None or verdict.outcome == "answered":
            return verdict
        found = await self.find(question, scope)
        # where the model has no least similarity, some passage is always found: then a word has to be shared
        alike = [one for one in found if self._embedder.min_similarity is not None or covers.get(one.chunk)]
        outcome = "possible" if alike and verdict.outcome == "unknown" else verdict.outcome
        return Verdict(outcome, tuple(alike or found), verdict.reason, by_words=True)

    async def _rankings(
        self, question: str, scope: DocumentScope, mode: SearchMode
    ) -> tuple[dict[int, float] | None, dict[int, float]]:
        """Return similar passages (None: not available) and the coverage of passages found by words."""
        if mode == "vectors":
            return await self._similar(question, scope, required=True), {}
        if mode == "words":
            return None, await self._word_coverage(question, scope)
        similarities = self._similar(question, scope, required=False)
        if self._database.is_sqlite:
            # run one after the other: concurrent threads would contend for the GIL
            return await similarities, await self._word_coverage(question, scope)
        return await asyncio.gather(similarities, self._word_coverage(question, scope))

    async def _word_coverage(self, question: str, scope: DocumentScope) -> dict[int, float]:
        """Return passages found by words, best first, with their coverage of the question."""
        async with self._database.read() as connection:
            return await self._full_text.find(connection, question, scope, CANDIDATES_PER_RANKING)

    async def _word_weights(self, covers: Mapping[int, float]) -> dict[int, float]:
        """Weight word matches that cover most of the question (a name, a number) or have no vector yet."""
        assert self._embedder
        weights = {number: (share - _MIN_COVERED_SHARE) / (1 - _MIN_COVERED_SHARE) for number, share in covers.items()}
        few = [number for number, weight in weights.items() if weight <= 0]
        known = await self._repository.embedded(few, self._embedder.name) if few else set()
        weights |= {number: covers[number] for number in few if number not in known}
        return {number: weight for number, weight in weights.items() if weight > 0}

    async def _similar(self, question: str, scope: DocumentScope, *, required: bool) -> dict[int, float] | None:
        """Return similar passages; None without an embedding model, or where it is not available."""
        if self._embedder is None:
            return None
        try:
            vector = await self._embedder.embed_query(question)
        except EngineError:
            # without the embedding server, the search still uses words
            if required:
                raise
            return None
        alike = await self._vector_index.find(self._embedder.name, vector, scope, CANDIDATES_PER_RANKING)
        min_similarity = self._embedder.min_similarity
        return {
            number: 1.0 for number, likeness in alike.items() if min_similarity is None or likeness >= min_similarity
        }


def fuse_rankings(rankings: Sequence[Mapping[int, float]]) -> dict[int, float]:
    """Return the fused score of each passage in weighted rankings, each best first.

    Weights from 0 to 1 keep matches of very common words, and of words that two languages share, from outranking
    passages found by vectors.
    """
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, (number, weight) in enumerate(ranking.items(), 1):
            scores[number] = scores.get(number, 0.0) + weight / (_RRF_CONSTANT + rank)
    return scores
