"""Figures of a suite: shares of right answers, cost, and the paired difference of the arms with its interval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from qwendesk.testing.quality.base import ARMS
from qwendesk.testing.quality.runner import ArmResults, ScoredAnswer

_RESAMPLES = 10_000
_SEED = 0
CONFIDENCE = 0.9
"""Probability of the intervals."""


def bootstrap_interval(
    differences: Sequence[float], confidence: float = CONFIDENCE, seed: int = _SEED
) -> tuple[float, float]:
    """Return the percentile interval of a mean, from resamples of its questions."""
    values = np.asarray(differences, dtype=float)
    drawn = np.random.default_rng(seed).integers(0, len(values), size=(_RESAMPLES, len(values)))
    tail = (1 - confidence) / 2 * 100
    low, high = np.percentile(values[drawn].mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)


def suite_figures(results: ArmResults) -> dict[str, Any]:
    """Return the figures of a suite as plain JSON types."""
    return {
        "arms": {arm: _arm_figures(list(scored.values())) for arm, scored in results.items()},
        "difference": _difference(results),
    }


def _arm_figures(scored: Sequence[ScoredAnswer]) -> dict[str, Any]:
    judged = [each for each in scored if each.score.right is not None]
    groups = sorted({each.question.group for each in judged} - {""})
    return {
        **_share(judged),
        "answers": len(scored),
        "not_scored": len(scored) - len(judged),
        "errors": sum(bool(each.answer.error) for each in scored),
        "marks": dict(sorted(Counter(mark for each in scored for mark in each.score.marks).items())),
        "groups": {name: _share([each for each in judged if each.question.group == name]) for name in groups},
        "tokens_in": sum(each.answer.tokens_in for each in scored),
        "tokens_out": sum(each.answer.tokens_out for each in scored),
        "seconds": round(sum(each.answer.seconds for each in scored), 1),
        "tokens_per_answer": _mean(each.answer.tokens_in + each.answer.tokens_out for each in scored),
        "seconds_per_answer": _mean(each.answer.seconds for each in scored),
        "versions": sorted({each.answer.version for each in scored}),
    }


def _share(judged: Sequence[ScoredAnswer]) -> dict[str, Any]:
    right = sum(each.score.right is True for each in judged)
    return {"right": right, "scored": len(judged), "share": round(right / len(judged), 4) if judged else None}


def _mean(values: Iterable[float]) -> float | None:
    given = list(values)
    return round(sum(given) / len(given), 2) if given else None


def _difference(results: ArmResults) -> dict[str, Any] | None:
    """Return the desk's gain in points over the bare model, on the questions that both have a score for."""
    bare, desk = (results.get(arm, {}) for arm in ARMS)
    pairs = [(bare[name], desk[name]) for name in bare if name in desk]
    gains = [
        int(second.score.right) - int(first.score.right)
        for first, second in pairs
        if first.score.right is not None and second.score.right is not None
    ]
    if not gains:
        return None
    low, high = bootstrap_interval(gains)
    return {
        "pairs": len(gains),
        "points": round(100 * sum(gains) / len(gains), 1),
        "low": round(100 * low, 1),
        "high": round(100 * high, 1),
        "confidence": CONFIDENCE,
        "tokens_ratio": _ratio(pairs, lambda each: each.answer.tokens_in + each.answer.tokens_out),
        "seconds_ratio": _ratio(pairs, lambda each: each.answer.seconds),
    }


def _ratio(pairs: Sequence[tuple[ScoredAnswer, ScoredAnswer]], cost: Any) -> float | None:
    before, after = sum(cost(first) for first, _ in pairs), sum(cost(second) for _, second in pairs)
    return round(after / before, 2) if before else None


def total_figures(suites: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return tokens and seconds of all suites by arm."""
    names = ("answers", "tokens_in", "tokens_out", "seconds")
    totals: dict[str, dict[str, float]] = {}
    for figures in suites.values():
        for arm, own in figures["arms"].items():
            sums = totals.setdefault(arm, dict.fromkeys(names, 0))
            for name in names:
                sums[name] = round(sums[name] + own[name], 1)
    return totals
