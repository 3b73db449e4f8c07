"""Port of a vector index, and an index that searches all vectors of a tenant in memory.

A search over many vectors first compares them reduced to their principal axes and then compares the best few hundred
in full. Where the axes would lose too much (vectors without structure), all vectors are compared in full.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.knowledge.base import Vectors
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.memory.tables.documents import EPOCH, KbEmbedding, KbState

Half = NDArray[np.float16]
STORED_DTYPE = np.dtype("<f2")
"""Number format of stored vectors; half precision changes a similarity by less than 0.001."""
REDUCE_FROM_ROWS = 20_000
"""Number of rows from which a search compares reduced vectors first."""
RERANKED_ROWS = 800
"""Best rows of the reduced vectors that are compared again in full."""
_KEPT_ENERGY_SHARE = 0.9
"""Share of the vectors' energy that the principal axes have to keep."""
_SAMPLE_ROWS = 20_000
"""Rows from which the principal axes are computed."""
_AXES_MULTIPLE = 32
"""The number of axes is a multiple of this."""
_SLICE_ROWS = 8_192
_PAGE_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class ReducedVectors:
    """Vectors reduced to their principal axes."""

    axes: NDArray[np.float32]
    rows: Vectors

    @classmethod
    def from_rows(cls, vectors: Half, known: ReducedVectors | None = None) -> ReducedVectors | None:
        """Reduce vectors; None if that would not save time.

        Args:
            vectors: all rows.
            known: the reduction of the first rows; its axes are kept, and only the other rows are computed.
        """
        if len(vectors) < REDUCE_FROM_ROWS:
            return None
        axes = known.axes if known else _principal_axes(vectors)
        if axes is None:
            return None
        begin = len(known.rows) if known else 0
        new = [
            vectors[at : at + _SLICE_ROWS].astype(np.float32) @ axes for at in range(begin, len(vectors), _SLICE_ROWS)
        ]
        return cls(axes, np.concatenate([known.rows, *new] if known else new))


def _principal_axes(vectors: Half) -> NDArray[np.float32] | None:
    step = max(1, len(vectors) // _SAMPLE_ROWS)
    sample = vectors[::step].astype(np.float32)
    energy, directions = np.linalg.eigh(sample.T @ sample)
    held = np.cumsum(energy[::-1]) / energy.sum()
    count = -(-(int(np.searchsorted(held, _KEPT_ENERGY_SHARE)) + 1) // _AXES_MULTIPLE) * _AXES_MULTIPLE
    if count * 2 > vectors.shape[1]:
        return None
    return np.ascontiguousarray(directions[:, ::-1][:, :count])


@dataclass(frozen=True, slots=True)
class VectorMatrix:
    """Vectors of a tenant with the ids of their passages, ascending, and their scopes."""

    revision: int
    """Revision of the documents in the database that the matrix holds."""
    ids: NDArray[np.int64]
    scopes: NDArray[np.int32]
    """Number of the scope of each row; ``names`` maps scopes to numbers."""
    names: dict[str, int]
    vectors: Half
    reduced: ReducedVectors | None

    def top(self, question: NDArray[np.float32], visible: Sequence[str], limit: int) -> dict[int, float]:
        """Return the nearest passages with a visible scope and their similarity to the question, nearest first."""
        if not len(self.ids) or question.shape != self.vectors.shape[1:]:
            return {}
        readable = [self.names[name] for name in visible if name in self.names]
        hidden = None if len(readable) == len(self.names) else ~np.isin(self.scopes, readable)
        rows = self._candidates(question, hidden, limit)
        scores = _products(self.vectors[rows].astype(np.float32), question)
        order = np.lexsort((self.ids[rows], -scores))[:limit]
        return {int(self.ids[rows[at]]): float(scores[at]) for at in order}

    def _candidates(
        self, question: NDArray[np.float32], hidden: NDArray[np.bool_] | None, limit: int
    ) -> NDArray[np.intp]:
        reduced = self.reduced
        scores = _products(reduced.rows, question @ reduced.axes) if reduced else self._whole(question)
        if hidden is not None:
            scores[hidden] = -np.inf
        most = min(max(limit, RERANKED_ROWS), len(scores))
        best = np.argpartition(-scores, most - 1)[:most]
        return best[np.isfinite(scores[best])]

    def _whole(self, question: NDArray[np.float32]) -> NDArray[np.float32]:
        # in slices, because half precision is widened first and a slice fits the CPU cache
        slices = range(0, len(self.vectors), _SLICE_ROWS)
        return np.concatenate(
            [_products(self.vectors[at : at + _SLICE_ROWS].astype(np.float32), question) for at in slices]
        )


def _products(rows: Vectors, question: NDArray[np.float32]) -> NDArray[np.float32]:
    # einsum instead of BLAS, whose threads wait for one another on a busy machine
    products: NDArray[np.float32] = np.einsum("ij,j->i", rows, question)
    return products


class VectorIndex(ABC):
    """Finds passages by their vectors."""

    @abstractmethod
    async def find(
        self, model: str, question: NDArray[np.float32], scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Return the nearest passages that the scope may read and their cosine similarity, nearest first."""

    async def prepare(self, model: str, dimension: int) -> bool:
        """Prepare for vectors of a model; return whether the index stores them in a separate table."""
        return False

    async def add(  # noqa: B027 - an index in memory reads the stored vectors
        self, connection: AsyncConnection, model: str, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Add vectors that are being stored, in the same transaction."""

    async def maintain_index(self) -> None:  # noqa: B027 - an index in memory needs none
        """Create missing indexes after many vectors were added."""


class InMemoryVectorIndex(VectorIndex):
    """Searches all vectors of a tenant in memory; 100,000 vectors of 384 numbers take milliseconds and 120 MB."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._matrices: dict[tuple[str, str], VectorMatrix] = {}
        self._loading = asyncio.Lock()

    async def find(
        self, model: str, question: NDArray[np.float32], scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Update the matrix and search it."""
        matrix = await self._current_matrix(scope.tenant, model)
        return await asyncio.to_thread(matrix.top, question, scope.visible, limit)

    async def _current_matrix(self, tenant: str, model: str) -> VectorMatrix:
        async with self._loading, self._database.read() as connection:
            known = select(KbState.revision).where(KbState.tenant_id == tenant)
            revision = (await connection.execute(known)).scalar() or 0
            matrix = self._matrices.get((tenant, model))
            if matrix and matrix.revision // EPOCH != revision // EPOCH:
                matrix = None
            if matrix is None or matrix.revision != revision:
                matrix = await _load_matrix(connection, tenant, model, revision, matrix)
                self._matrices[tenant, model] = matrix
            return matrix


async def _load_matrix(
    connection: AsyncConnection, tenant: str, model: str, revision: int, old: VectorMatrix | None
) -> VectorMatrix:
    """Read new vectors; ids of passages only grow, so that known vectors are not read again."""
    mine = (KbEmbedding.tenant_id == tenant, KbEmbedding.model == model)
    kept = None
    if old:
        remaining = select(KbEmbedding.chunk_id, KbEmbedding.scope).where(*mine).order_by(KbEmbedding.chunk_id)
        kept = _without_deleted(old, (await connection.execute(remaining)).all())
    names = dict(kept.names) if kept else {}
    ids, scopes, vectors = ([kept.ids], [kept.scopes], [kept.vectors]) if kept else ([], [], [])
    after = int(kept.ids[-1]) if kept else 0
    following = (
        select(KbEmbedding.chunk_id, KbEmbedding.scope, KbEmbedding.vector)
        .where(*mine, KbEmbedding.chunk_id > bindparam("after"))
        .order_by(KbEmbedding.chunk_id)
        .limit(_PAGE_ROWS)
    )
    while page := (await connection.execute(following, {"after": after})).all():
        after = page[-1][0]
        ids.append(np.array([row[0] for row in page], np.int64))
        scopes.append(np.array([names.setdefault(row[1], len(names)) for row in page], np.int32))
        vectors.append(await asyncio.to_thread(_unpack_vectors, [row[2] for row in page]))
    if not ids:
        return VectorMatrix(
            revision, np.empty(0, np.int64), np.empty(0, np.int32), names, np.empty((0, 0), STORED_DTYPE), None
        )
    rows = np.concatenate(vectors)
    reduced = await asyncio.to_thread(ReducedVectors.from_rows, rows, kept.reduced if kept else None)
    return VectorMatrix(revision, np.concatenate(ids), np.concatenate(scopes), names, rows, reduced)


def _without_deleted(old: VectorMatrix, present: Sequence[Row[int, str]]) -> VectorMatrix | None:
    """Drop deleted rows and update the scopes of the others, which change when people are joined.

    Returns:
        The remaining matrix; None if no row remains, or an earlier passage got its vector since.
    """
    now = np.fromiter((row[0] for row in present), np.int64, len(present))
    kept = np.isin(old.ids, now, assume_unique=True)
    if not kept.any() or int(kept.sum()) != int((now <= old.ids[-1]).sum()):
        return None
    reduced = ReducedVectors(old.reduced.axes, old.reduced.rows[kept]) if old.reduced else None
    names: dict[str, int] = {}
    scopes = np.array([names.setdefault(row[1], len(names)) for row in present[: int(kept.sum())]], np.int32)
    return VectorMatrix(old.revision, old.ids[kept], scopes, names, old.vectors[kept], reduced)


def pack_vector(vector: NDArray[np.float32]) -> bytes:
    """Return the stored form of a vector."""
    return vector.astype(STORED_DTYPE).tobytes()


def unpack_vector(stored: bytes) -> NDArray[np.float32]:
    """Return a vector from its stored form."""
    return np.frombuffer(stored, STORED_DTYPE).astype(np.float32)


def _unpack_vectors(stored: Sequence[bytes]) -> Half:
    return np.frombuffer(b"".join(stored), STORED_DTYPE).reshape(len(stored), -1)
