"""Measure a router on labelled questions, with the time and memory it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import quantiles
from typing import Any, cast

import psutil

from qwendesk.agents.routing.base import Router, Signals, TextRole
from qwendesk.agents.routing.dataset import Question
from qwendesk.agents.routing.scores import Answer, scores


def measure(router: Router, questions: Sequence[Question]) -> dict[str, Any]:
    """Return accuracy, calibration, latency and memory of a router; there has to be a question."""
    router.route(Signals(questions[0].text))
    answers, times = [], []
    for question in questions:
        begun = time.perf_counter()
        decision = router.route(Signals(question.text))
        times.append((time.perf_counter() - begun) * 1e3)
        answers.append(Answer(question.label, cast(TextRole, decision.role), decision.confidence, question.lang))
    rss = psutil.Process().memory_info().rss
    return scores(answers) | {"latency_ms": percentiles(times), "rss_mb": round(rss / 1e6, 1)}


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of milliseconds."""
    parts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else list(times) * 19
    return {"p50": round(parts[9], 3), "p95": round(parts[18], 3)}
