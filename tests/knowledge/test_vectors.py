"""Search in memory: reduced vectors find the same passages as exact comparison."""

from __future__ import annotations

import numpy as np
import pytest

from qwendesk.knowledge import vectors
from qwendesk.knowledge.vectors import ReducedVectors, VectorMatrix

RANDOM = np.random.default_rng(3)


def clustered(count: int, dimension: int = 128, rank: int = 24) -> np.ndarray:
    fade = np.exp(-np.arange(rank) / 10)
    rows = (RANDOM.standard_normal((count, rank)) * fade) @ RANDOM.standard_normal((rank, dimension))
    rows += 0.3 * RANDOM.standard_normal((count, dimension))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def made(rows: np.ndarray, scopes: list[str] | None = None) -> VectorMatrix:
    half = rows.astype(np.float16)
    names = {name: number for number, name in enumerate(dict.fromkeys(scopes or [""]))}
    owners = np.array([names[name] for name in scopes] if scopes else [0] * len(rows), np.int32)
    return VectorMatrix(1, np.arange(1, len(rows) + 1), owners, names, half, ReducedVectors.from_rows(half))


@pytest.mark.parametrize("rank", [24, 128])
def test_five_nearest_as_by_comparing_all(rank: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "REDUCE_FROM_ROWS", 1000)
    monkeypatch.setattr(vectors, "RERANKED_ROWS", 200)
    rows = clustered(6000, rank=rank) if rank < 128 else _unit(RANDOM.standard_normal((6000, 128)))
    searched = made(rows)
    assert (searched.reduced is not None) == (rank < 128), "vectors without structure are compared whole"
    hits = 0
    for row in range(0, 6000, 200):
        question = _unit(rows[row : row + 1] + 0.02 * RANDOM.standard_normal((1, 128)))[0]
        exact = set((np.argsort(-(rows @ question))[:5] + 1).tolist())
        hits += len(exact & set(searched.top(question, ("",), 5)))
    assert hits / 150 >= 0.99


def test_new_rows_are_put_on_the_same_axes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "REDUCE_FROM_ROWS", 500)
    half = clustered(2000).astype(np.float16)
    first = ReducedVectors.from_rows(half[:1500])
    whole = ReducedVectors.from_rows(half, first)
    assert first is not None and whole is not None
    assert whole.axes is first.axes and len(whole.rows) == 2000


def test_only_what_is_visible_is_found() -> None:
    rows = clustered(100)
    searched = made(rows, ["", "person=a", "person=b", ""] * 25)
    assert {number % 4 for number in searched.top(rows[1], ("", "person=b"), 100)} == {1, 3, 0}
    assert searched.top(rows[1], ("person=c",), 10) == {}
    assert searched.top(rows[1][:64], ("",), 10) == {}, "a question of another model finds nothing"


def _unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
