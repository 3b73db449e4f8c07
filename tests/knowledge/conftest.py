"""A knowledge base on both databases, with an embedding model made of words and a few synonyms."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from qwendesk.errors import EngineUnavailable
from qwendesk.knowledge.knowledge_base import KnowledgeBase, open_knowledge
from qwendesk.search_terms import index_terms
from tests import postgres_server
from tests.databases import put_migrated

SYNONYMS = {"rückgabe": "return", "zuruckgeben": "return", "ruckgabe": "return", "geld": "money", "katze": "cat"}


class WordVectors:
    """An embedding model that gives similar vectors to texts with the same words or their synonyms."""

    def __init__(self, name: str = "test:words", dimension: int = 64) -> None:
        self.name = name
        self.dimension = dimension
        self.embedded: list[str] = []
        self.is_away = False
        self.min_similarity: float | None = None

    async def embed_documents(self, texts: Sequence[str]) -> Any:
        if self.is_away:
            raise EngineUnavailable("the embedding server is away")
        self.embedded += texts
        return np.stack([self._vector(text) for text in texts])

    async def embed_query(self, text: str) -> Any:
        if self.is_away:
            raise EngineUnavailable("the embedding server is away")
        return self._vector(text)

    def _vector(self, text: str) -> Any:
        vector = np.full(self.dimension, 0.01, np.float32)
        for term in index_terms(text):
            vector[crc32(SYNONYMS.get(term, term).encode()) % self.dimension] += 1
        return vector / np.linalg.norm(vector)


@pytest.fixture(params=["sqlite", "postgresql"])
def kb_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        put_migrated(tmp_path / "kb.db")
        yield f"sqlite+aiosqlite:///{tmp_path / 'kb.db'}"
        return
    with postgres_server.database() as url:
        yield url


@pytest.fixture
def embedder() -> WordVectors:
    return WordVectors()


@pytest.fixture
async def base(kb_url: str, embedder: WordVectors) -> AsyncIterator[KnowledgeBase]:
    async with open_knowledge(kb_url, embedder) as made:
        yield made
