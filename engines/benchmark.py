"""Measure the load time, memory and speed of a model, and rate its health."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

import psutil

from qwendesk.engines.pool import ModelPool
from qwendesk.engines.selected_model import SelectedModel

_QUESTION = "Count from one to thirty in words."
_ANSWER_TOKENS = 64
_SLOW_ANSWER_SECONDS = 10.0
_SLOW_TOKENS_PER_SECOND = 5.0
_LARGE_GROWTH_MB = 1000.0


@dataclass(frozen=True, slots=True)
class BenchmarkResult:
    """The measurements of one model."""

    model: str
    engine: str
    load_s: float
    memory_mb: float
    """Memory growth of this process; the memory of a server is not included."""
    ttft_ms: float
    tokens_per_second: float
    answer_s: float
    health: Literal["healthy", "degraded", "unhealthy"]
    advice: tuple[str, ...]
    """Problems, each with the next step."""


async def benchmark_model(pool: ModelPool, choice: SelectedModel) -> BenchmarkResult:
    """Load a model, let it answer twice and measure the second answer.

    Raises:
        EngineError: the model cannot be loaded, or does not answer.
    """
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.perf_counter()
    model = await pool.load(choice)
    loaded = time.perf_counter() - begun
    await model.ainvoke("Hi", max_tokens=1, think=False)
    begun = time.perf_counter()
    first, rate = 0.0, 0.0
    async for chunk in model.astream(_QUESTION, max_tokens=_ANSWER_TOKENS, think=False):
        first = first or (time.perf_counter() - begun if chunk.text else 0.0)
        rate = chunk.response_metadata.get("tokens_per_second") or rate
    answer = time.perf_counter() - begun
    memory = (await asyncio.to_thread(process.memory_info)).rss - before
    advice = _advice(answer, rate, memory / 1e6)
    health: tuple[Literal["healthy", "degraded", "unhealthy"], ...] = ("healthy", "degraded", "unhealthy")
    return BenchmarkResult(
        model=choice.card.name,
        engine=choice.engine,
        load_s=round(loaded, 2),
        memory_mb=round(memory / 1e6, 1),
        ttft_ms=round(first * 1e3, 1),
        tokens_per_second=round(rate, 1),
        answer_s=round(answer, 2),
        health=health[min(len(advice), 2)],
        advice=advice,
    )


def _advice(answer: float, rate: float, memory: float) -> tuple[str, ...]:
    found = []
    if rate and rate < _SLOW_TOKENS_PER_SECOND:
        found.append(f"only {rate:.1f} tokens/s: choose a smaller model, or a machine with a GPU")
    if answer > _SLOW_ANSWER_SECONDS:
        found.append(
            f"{answer:.0f} s for {_ANSWER_TOKENS} tokens: lower QWENDESK_MAX_OUTPUT_TOKENS, or choose a smaller model"
        )
    if memory > _LARGE_GROWTH_MB and memory > 0.7 * psutil.virtual_memory().available / 1e6:
        found.append(f"{memory:.0f} MB of memory taken, little is left: lower QWENDESK_CONTEXT_TOKENS")
    return tuple(found)
