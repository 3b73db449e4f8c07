"""The passages nearest in meaning: search over a matrix that is kept in memory and follows the database."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Row, bindparam, select
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.memory.database import Database
from qwendesk.memory.knowledge.base import Scope
from qwendesk.memory.knowledge.matrix import Coarse, Half, Matrix
from qwendesk.memory.knowledge.tables import EPOCH, KbEmbedding, KbState

_PAGE = 20_000
STORED = np.dtype("<f2")
"""How vectors are stored: half precision moves a similarity by less than a thousandth."""


class Nearest(ABC):
    """Finds passages by their vectors."""

    @abstractmethod
    async def find(self, model: str, question: NDArray[np.float32], scope: Scope, limit: int) -> dict[int, float]:
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


class MatrixNearest(Nearest):
    """Searches all vectors of a tenant in memory; 100,000 of 384 numbers take a few milliseconds and 120 MB."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._matrices: dict[tuple[str, str], Matrix] = {}
        self._loading = asyncio.Lock()

    async def find(self, model: str, question: NDArray[np.float32], scope: Scope, limit: int) -> dict[int, float]:
        """Search the matrix, brought up to date first."""
        matrix = await self._fresh(scope.tenant, model)
        return await asyncio.to_thread(matrix.top, question, scope.visible, limit)

    async def _fresh(self, tenant: str, model: str) -> Matrix:
        async with self._loading, self._database.read() as connection:
            known = select(KbState.revision).where(KbState.tenant_id == tenant)
            revision = (await connection.execute(known)).scalar() or 0
            matrix = self._matrices.get((tenant, model))
            if matrix and matrix.revision // EPOCH != revision // EPOCH:
                matrix = None
            if matrix is None or matrix.revision != revision:
                matrix = await _loaded(connection, tenant, model, revision, matrix)
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


async def _loaded(connection: AsyncConnection, tenant: str, model: str, revision: int, old: Matrix | None) -> Matrix:
    """Read what is new; numbers of passages only grow, so that a vector that is known need not be read again."""
    whose = {"tenant": tenant, "model": model}
    kept = _still_there(old, (await connection.execute(_PRESENT, whose)).all()) if old else None
    names = dict(kept.names) if kept else {}
    ids, scopes, vectors = ([kept.ids], [kept.scopes], [kept.vectors]) if kept else ([], [], [])
    after = int(kept.ids[-1]) if kept else 0
    while page := (await connection.execute(_ROWS, whose | {"after": after, "page": _PAGE})).all():
        after = page[-1][0]
        ids.append(np.array([row[0] for row in page], np.int64))
        scopes.append(np.array([names.setdefault(row[1], len(names)) for row in page], np.int32))
        vectors.append(await asyncio.to_thread(_unpacked, [row[2] for row in page]))
    if not ids:
        return Matrix(revision, np.empty(0, np.int64), np.empty(0, np.int32), names, np.empty((0, 0), STORED), None)
    rows = np.concatenate(vectors)
    coarse = await asyncio.to_thread(Coarse.of, rows, kept.coarse if kept else None)
    return Matrix(revision, np.concatenate(ids), np.concatenate(scopes), names, rows, coarse)


def _still_there(old: Matrix, present: Sequence[Row[int, str]]) -> Matrix | None:
    """Drop the rows that have been deleted, and see whose the others are now; documents move where people are joined.

    None where nothing is left or an earlier passage has got its vector.
    """
    now = np.fromiter((row[0] for row in present), np.int64, len(present))
    kept = np.isin(old.ids, now, assume_unique=True)
    if not kept.any() or int(kept.sum()) != int((now <= old.ids[-1]).sum()):
        return None
    coarse = Coarse(old.coarse.axes, old.coarse.rows[kept]) if old.coarse else None
    names: dict[str, int] = {}
    scopes = np.array([names.setdefault(row[1], len(names)) for row in present[: int(kept.sum())]], np.int32)
    return Matrix(old.revision, old.ids[kept], scopes, names, old.vectors[kept], coarse)


def packed(vector: NDArray[np.float32]) -> bytes:
    """Return a vector as it is stored."""
    return vector.astype(STORED).tobytes()


def _unpacked(stored: Sequence[bytes]) -> Half:
    return np.frombuffer(b"".join(stored), STORED).reshape(len(stored), -1)
