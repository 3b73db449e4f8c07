"""A tenant's vectors in memory, and the nearest of them.

Many vectors are first compared along their principal axes, a fraction of the numbers, and the best few hundred again
whole. Where the axes would leave out too much (vectors without any structure), all are compared whole.
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


REDUCE_FROM_ROWS = 20_000

"""Rows from which the first look is along the axes."""

_RERANKED_ROWS = 800

"""Rows that are looked at again whole."""

_KEPT_ENERGY_SHARE = 0.9

"""Share of the vectors' energy that the axes have to hold."""

_SAMPLE_ROWS = 20_000

_AXES_MULTIPLE = 32

_SLICE_ROWS = 8_192


@dataclass(frozen=True, slots=True)
class ReducedVectors:
    """The rows along their principal axes."""

    axes: NDArray[np.float32]
    rows: Vectors

    @classmethod
    def of(cls, vectors: Half, known: ReducedVectors | None = None) -> ReducedVectors | None:
        """Return the rows along their axes; None where that is not worth it.

        Args:
            vectors: all rows.
            known: what was made of the first of them; its axes are kept, and only the rest is computed.
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
    """Rows of vectors with the numbers of their passages, ascending, and whom they are for."""

    revision: int
    """The state of the database that they are of."""
    ids: NDArray[np.int64]
    scopes: NDArray[np.int32]
    """For each row the number of its scope."""
    names: dict[str, int]
    vectors: Half
    coarse: ReducedVectors | None

    def top(self, question: NDArray[np.float32], visible: Sequence[str], limit: int) -> dict[int, float]:
        """Return the passages nearest to the question, of those with a visible scope, and how alike they are."""
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
        coarse = self.coarse
        scores = _products(coarse.rows, question @ coarse.axes) if coarse else self._whole(question)
        if hidden is not None:
            scores[hidden] = -np.inf
        most = min(max(limit, _RERANKED_ROWS), len(scores))
        best = np.argpartition(-scores, most - 1)[:most]
        return best[np.isfinite(scores[best])]

    def _whole(self, question: NDArray[np.float32]) -> NDArray[np.float32]:
        # slice by slice: half precision has to be widened first, and a slice stays in the processor's cache
        slices = range(0, len(self.vectors), _SLICE_ROWS)
        return np.concatenate(
            [_products(self.vectors[at : at + _SLICE_ROWS].astype(np.float32), question) for at in slices]
        )


def _products(rows: Vectors, question: NDArray[np.float32]) -> NDArray[np.float32]:
    # not by BLAS: on a busy machine its threads wait for one another for longer than all of this takes
    products: NDArray[np.float32] = np.einsum("ij,j->i", rows, question)
    return products


_PAGE_ROWS = 20_000

STORED_DTYPE = np.dtype("<f2")

"""How vectors are stored: half precision moves a similarity by less than a thousandth."""


class VectorIndex(ABC):
    """Finds passages by their vectors."""

    @abstractmethod
    async def find(
        self, model: str, question: NDArray[np.float32], scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Return the nearest passages that the scope may read, nearest first, and how alike each is (cosine)."""

    async def prepare(self, model: str, dimension: int) -> bool:
        """Get ready to keep vectors of a model; tell whether they are kept anywhere beside ``kb_embedding``."""
        return False

    async def keep(  # noqa: B027 - the matrix reads what is stored, and keeps no copy
        self, connection: AsyncConnection, model: str, rows: Sequence[Mapping[str, Any]]
    ) -> None:
        """Take over vectors that are being stored, inside the same transaction."""

    async def maintain_index(self) -> None:  # noqa: B027 - the matrix has no index
        """Look after indexes when many vectors have come."""


class InMemoryVectorIndex(VectorIndex):
    """Searches all vectors of a tenant in memory; 100,000 of 384 numbers take a few milliseconds and 120 MB."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._matrices: dict[tuple[str, str], VectorMatrix] = {}
        self._loading = asyncio.Lock()

    async def find(
        self, model: str, question: NDArray[np.float32], scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Search the matrix, brought up to date first."""
        matrix = await self._fresh(scope.tenant, model)
        return await asyncio.to_thread(matrix.top, question, scope.visible, limit)

    async def _fresh(self, tenant: str, model: str) -> VectorMatrix:
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


_PRESENT = (
    select(KbEmbedding.chunk_id, KbEmbedding.scope)
    .where(KbEmbedding.tenant_id == bindparam("tenant"), KbEmbedding.model == bindparam("model"))
    .order_by(KbEmbedding.chunk_id)
)

_ROWS = (
    select(KbEmbedding.chunk_id, KbEmbedding.scope, KbEmbedding.vector)
    .where(
        KbEmbedding.tenant_id == bindparam("tenant"),
        KbEmbedding.model == bindparam("model"),
        KbEmbedding.chunk_id > bindparam("after"),
    )
    .order_by(KbEmbedding.chunk_id)
    .limit(bindparam("page"))
)


async def _load_matrix(
    connection: AsyncConnection, tenant: str, model: str, revision: int, old: VectorMatrix | None
) -> VectorMatrix:
    """Read what is new; numbers of passages only grow, so that a vector that is known need not be read again."""
    whose = {"tenant": tenant, "model": model}
    kept = _without_deleted(old, (await connection.execute(_PRESENT, whose)).all()) if old else None
    names = dict(kept.names) if kept else {}
    ids, scopes, vectors = ([kept.ids], [kept.scopes], [kept.vectors]) if kept else ([], [], [])
    after = int(kept.ids[-1]) if kept else 0
    while page := (await connection.execute(_ROWS, whose | {"after": after, "page": _PAGE_ROWS})).all():
        after = page[-1][0]
        ids.append(np.array([row[0] for row in page], np.int64))
        scopes.append(np.array([names.setdefault(row[1], len(names)) for row in page], np.int32))
        vectors.append(await asyncio.to_thread(_unpack_vectors, [row[2] for row in page]))
    if not ids:
        return VectorMatrix(
            revision, np.empty(0, np.int64), np.empty(0, np.int32), names, np.empty((0, 0), STORED_DTYPE), None
        )
    rows = np.concatenate(vectors)
    coarse = await asyncio.to_thread(ReducedVectors.of, rows, kept.coarse if kept else None)
    return VectorMatrix(revision, np.concatenate(ids), np.concatenate(scopes), names, rows, coarse)


def _without_deleted(old: VectorMatrix, present: Sequence[Row[int, str]]) -> VectorMatrix | None:
    """Drop the rows that have been deleted, and see whose the others are now; documents move where people are joined.

    None where nothing is left or an earlier passage has got its vector.
    """
    now = np.fromiter((row[0] for row in present), np.int64, len(present))
    kept = np.isin(old.ids, now, assume_unique=True)
    if not kept.any() or int(kept.sum()) != int((now <= old.ids[-1]).sum()):
        return None
    coarse = ReducedVectors(old.coarse.axes, old.coarse.rows[kept]) if old.coarse else None
    names: dict[str, int] = {}
    scopes = np.array([names.setdefault(row[1], len(names)) for row in present[: int(kept.sum())]], np.int32)
    return VectorMatrix(old.revision, old.ids[kept], scopes, names, old.vectors[kept], coarse)


def pack_vector(vector: NDArray[np.float32]) -> bytes:
    """Return a vector as it is stored."""
    return vector.astype(STORED_DTYPE).tobytes()


def _unpack_vectors(stored: Sequence[bytes]) -> Half:
    return np.frombuffer(b"".join(stored), STORED_DTYPE).reshape(len(stored), -1)
