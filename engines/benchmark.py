"""Try a model out: how long it loads, what memory it takes, how fast it is, and whether that is healthy."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Literal

import psutil

from qwendesk.engines.pool import ModelPool
from qwendesk.engines.selected_model import Choice

_QUESTION = "Count from one to thirty in words."
_TOKENS = 64
_SLOW_ANSWER = 10.0
_SLOW_TOKENS = 5.0
_GROWTH_MB = 1000.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What was measured."""

    model: str
    engine: str
    load_s: float
    memory_mb: float
    """Growth of this process; a server's own memory is not seen."""
    ttft_ms: float
    tokens_per_second: float
    answer_s: float
    health: Literal["healthy", "degraded", "unhealthy"]
    advice: tuple[str, ...]
    """What is wrong and what to do about it; empty when nothing is."""


async def try_out(pool: ModelPool, choice: Choice) -> Trial:
    """Load a model and let it answer twice: the second answer is measured.

    Raises:
        EngineError: it cannot be loaded, or does not answer.
    """
    process = psutil.Process()
    before, begun = process.memory_info().rss, time.perf_counter()
    model = await pool.load(choice)
    loaded = time.perf_counter() - begun
    await model.ainvoke("Hi", max_tokens=1, think=False)
    begun = time.perf_counter()
    first, rate = 0.0, 0.0
    async for chunk in model.astream(_QUESTION, max_tokens=_TOKENS, think=False):
        first = first or (time.perf_counter() - begun if chunk.text else 0.0)
        rate = chunk.response_metadata.get("tokens_per_second") or rate
    answer = time.perf_counter() - begun
    memory = (await asyncio.to_thread(process.memory_info)).rss - before
    advice = _advice(answer, rate, memory / 1e6)
    health: tuple[Literal["healthy", "degraded", "unhealthy"], ...] = ("healthy", "degraded", "unhealthy")
    return Trial(
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
    if rate and rate < _SLOW_TOKENS:
        found.append(f"only {rate:.1f} tokens/s: choose a smaller model, or a machine with a GPU")
    if answer > _SLOW_ANSWER:
        found.append(
            f"{answer:.0f} s for {_TOKENS} tokens: lower QWENDESK_MAX_OUTPUT_TOKENS, or choose a smaller model"
        )
    if memory > _GROWTH_MB and memory > 0.7 * psutil.virtual_memory().available / 1e6:
        found.append(f"{memory:.0f} MB of memory taken, little is left: lower QWENDESK_CONTEXT_TOKENS")
    return tuple(found)
