"""A tenant's vectors in memory, and the nearest of them.

Many vectors are first compared along their principal axes, a fraction of the numbers, and the best few hundred again
whole. Where the axes would leave out too much (vectors without any structure), all are compared whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qwendesk.memory.knowledge.base import Vectors

Half = NDArray[np.float16]

COARSE_FROM = 20_000
"""Rows from which the first look is along the axes."""
_AGAIN = 800
"""Rows that are looked at again whole."""
_KEPT = 0.9
"""Share of the vectors' energy that the axes have to hold."""
_SAMPLE = 20_000
_STEP = 32
_SLICE = 8_192


@dataclass(frozen=True, slots=True)
class Coarse:
    """The rows along their principal axes."""

    axes: NDArray[np.float32]
    rows: Vectors

    @classmethod
    def of(cls, vectors: Half, known: Coarse | None = None) -> Coarse | None:
        """Return the rows along their axes; None where that is not worth it.

        Args:
            vectors: all rows.
            known: what was made of the first of them; its axes are kept, and only the rest is computed.
        """
        if len(vectors) < COARSE_FROM:
            return None
        axes = known.axes if known else _axes(vectors)
        if axes is None:
            return None
        begin = len(known.rows) if known else 0
        new = [vectors[at : at + _SLICE].astype(np.float32) @ axes for at in range(begin, len(vectors), _SLICE)]
        return cls(axes, np.concatenate([known.rows, *new] if known else new))


def _axes(vectors: Half) -> NDArray[np.float32] | None:
    step = max(1, len(vectors) // _SAMPLE)
    sample = vectors[::step].astype(np.float32)
    energy, directions = np.linalg.eigh(sample.T @ sample)
    held = np.cumsum(energy[::-1]) / energy.sum()
    count = -(-(int(np.searchsorted(held, _KEPT)) + 1) // _STEP) * _STEP
    if count * 2 > vectors.shape[1]:
        return None
    return np.ascontiguousarray(directions[:, ::-1][:, :count])


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows of vectors with the numbers of their passages, ascending, and whom they are for."""

    revision: int
    """The state of the database that they are of."""
    ids: NDArray[np.int64]
    scopes: NDArray[np.int32]
    """For each row the number of its scope."""
    names: dict[str, int]
    vectors: Half
    coarse: Coarse | None

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
        most = min(max(limit, _AGAIN), len(scores))
        best = np.argpartition(-scores, most - 1)[:most]
        return best[np.isfinite(scores[best])]

    def _whole(self, question: NDArray[np.float32]) -> NDArray[np.float32]:
        # slice by slice: half precision has to be widened first, and a slice stays in the processor's cache
        slices = range(0, len(self.vectors), _SLICE)
        return np.concatenate([_products(self.vectors[at : at + _SLICE].astype(np.float32), question) for at in slices])


def _products(rows: Vectors, question: NDArray[np.float32]) -> NDArray[np.float32]:
    # not by BLAS: on a busy machine its threads wait for one another for longer than all of this takes
    products: NDArray[np.float32] = np.einsum("ij,j->i", rows, question)
    return products
