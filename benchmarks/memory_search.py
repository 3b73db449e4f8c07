"""Hybrid search over many passages: how long it takes, and how much of exact search's best five it finds.

``python -m benchmarks.memory_search [--quick] [--json] [--dsn URL]``: SQLite in a temporary folder, and PostgreSQL
where ``--dsn`` or QWENDESK_TEST_DSN names an empty database. Texts follow Zipf's law; vectors are clustered as real
ones are.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwendesk.knowledge.base import Chunk, Vectors
from qwendesk.knowledge.document_repository import DocumentSource
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.database import Database
from qwendesk.memory.records import EVERYBODY

CHUNKS, QUICK_CHUNKS = 100_000, 20_000
QUESTIONS = 60
DIMENSION = 384
PER_DOCUMENT = 500
WORDS = 60


class World:
    """Made-up passages and questions, the same for the same seed."""

    def __init__(self, chunks: int, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        vocabulary = 50_000
        shares = 1 / np.arange(1, vocabulary + 1)
        self._shares = shares / shares.sum()
        self._vocabulary = [f"w{number}" for number in range(vocabulary)]
        self._basis = self._random.standard_normal((96, DIMENSION)).astype(np.float32)
        self._fade = np.exp(-np.arange(96) / 30).astype(np.float32)
        self.vectors = self._meanings(chunks)
        self.texts = self._texts(chunks)

    def questions(self, count: int) -> list[tuple[str, NDArray[np.float32]]]:
        """Return questions: words of a passage beside others, and a vector near to its own."""
        rows = self._random.integers(0, len(self.texts), count)
        noise = self._random.standard_normal((count, DIMENSION)).astype(np.float32) * 0.03
        near = _unit(self.vectors[rows] + noise)
        beside = self._texts(count)
        asked = [self.texts[row].split()[:6] + other.split()[:4] for row, other in zip(rows, beside, strict=True)]
        return [(" ".join(words), vector) for words, vector in zip(asked, near, strict=True)]

    def _meanings(self, count: int) -> Vectors:
        latent = self._random.standard_normal((count, 96)).astype(np.float32) * self._fade
        noise = self._random.standard_normal((count, DIMENSION)).astype(np.float32)
        return _unit(latent @ self._basis + 0.3 * noise)

    def _texts(self, count: int) -> list[str]:
        words = self._random.choice(len(self._vocabulary), (count, WORDS), p=self._shares)
        return [" ".join([self._vocabulary[word] for word in row]) for row in words.tolist()]


class _Known:
    """Returns prepared vectors in place of an embedding model."""

    name = "benchmark:made-up"
    min_similarity = None

    def __init__(self) -> None:
        self.next: NDArray[np.float32] = np.zeros(DIMENSION, np.float32)

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        raise NotImplementedError

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        return self.next


async def measure_search(url: str, chunks: int, questions: int = QUESTIONS) -> dict[str, float]:
    """Fill an empty database and search it; times in milliseconds, without embedding the question."""
    world = await asyncio.to_thread(World, chunks)
    database, model = Database(url, 30), _Known()
    await database.open()
    knowledge = KnowledgeBase(database, model)
    try:
        loaded = await _load(knowledge, world, model.name)
        asked = world.questions(questions)
        for text, vector in asked[:5]:
            model.next = vector
            await knowledge.search(text)
        result = await _ask(knowledge, model, asked)
        return result | {"load_s": loaded, "recall5": await _recall(knowledge, world, model, asked), "chunks": chunks}
    finally:
        await knowledge.aclose()
        await database.aclose()


async def _load(knowledge: KnowledgeBase, world: World, model: str) -> float:
    begun = time.perf_counter()
    for start in range(0, len(world.texts), PER_DOCUMENT):
        part = slice(start, start + PER_DOCUMENT)
        chunks = [Chunk(text, "", "") for text in world.texts[part]]
        source = DocumentSource(f"made-up:{start}", f"document {start}", "text", 0, str(start))
        await knowledge.repository.put(source, EVERYBODY, chunks, world.vectors[part], model)
    await knowledge.maintain_indexes(force=True)
    return round(time.perf_counter() - begun, 1)


async def _ask(
    knowledge: KnowledgeBase, model: _Known, asked: list[tuple[str, NDArray[np.float32]]]
) -> dict[str, float]:
    result: dict[str, float] = {}
    for mode in ("words", "vectors", "hybrid"):
        times = []
        for text, vector in asked:
            model.next = vector
            begun = time.perf_counter()
            found = await knowledge.search(text, mode=mode)
            times.append((time.perf_counter() - begun) * 1e3)
            assert found
        result[f"{mode}_ms_p50"] = round(statistics.median(times), 2)
        result[f"{mode}_ms_p95"] = round(statistics.quantiles(times, n=20)[-1], 2)
    return result


async def _recall(
    knowledge: KnowledgeBase, world: World, model: _Known, asked: list[tuple[str, NDArray[np.float32]]]
) -> float:
    """Return the share of the exactly nearest five passages that the search finds among its first five."""
    hits = 0
    for question, vector in asked:
        exact = np.argsort(-(world.vectors @ vector), kind="stable")[:5] + 1
        model.next = vector
        found = await knowledge.search(question, limit=5, mode="vectors")
        hits += len({passage.chunk for passage in found} & set(exact.tolist()))
    return hits / (5 * len(asked))


async def measure(dsn: str | None = None, *, chunks: int = CHUNKS) -> dict[str, Any]:
    """Return ``hybrid_sqlite_ms_p50``, ``hybrid_postgres_ms_p50`` and ``recall5_gap`` (the worse of both, in points).

    Args:
        dsn: SQLAlchemy URL of an empty PostgreSQL database; None leaves it out.
        chunks: how many passages are searched.
    """
    with tempfile.TemporaryDirectory() as folder:
        sqlite = await measure_search(f"sqlite+aiosqlite:///{Path(folder) / 'search.db'}", chunks)
    postgres = await measure_search(dsn, chunks) if dsn else None
    recalls = [each["recall5"] for each in (sqlite, postgres) if each]
    return {
        "hybrid_chunks": chunks,
        "hybrid_sqlite_ms_p50": sqlite["hybrid_ms_p50"],
        "hybrid_postgres_ms_p50": postgres["hybrid_ms_p50"] if postgres else None,
        "recall5_gap": round((1 - min(recalls)) * 100, 2),
        "search_sqlite": sqlite,
        "search_postgres": postgres,
    }


def _unit(vectors: Vectors) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = (vectors / lengths).astype(np.float32)
    return unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--dsn", default=os.environ.get("QWENDESK_TEST_DSN"))
    given = parser.parse_args()
    result = asyncio.run(measure(given.dsn, chunks=QUICK_CHUNKS if given.quick else CHUNKS))
    if given.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
