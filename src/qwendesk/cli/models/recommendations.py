"""``qwendesk models recommend``, and ``qwendesk models test``, which measures load time, memory and speed."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import asdict, dataclass
from typing import Literal

import psutil
import typer

from qwendesk.engines.cpu_threads import usable_cores
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import ConfigError, EngineUnavailable, no_such
from qwendesk.messages import ROLES, as_role
from qwendesk.models.card import SelectedModel
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.recommend import MachineResources, Recommendation, recommend
from qwendesk.settings import load_settings
from qwendesk.wiring import build_pool


async def show_recommendations(task: str, memory: str | None, language: str | None, as_json: bool) -> None:
    """Print the best models for a task on this machine."""
    role = as_role(task)
    if role is None:
        raise ConfigError(no_such("There is no task", task, ROLES))
    given = _gigabytes(memory) if memory is not None else None
    language = _language(language) if language is not None else None
    free = psutil.virtual_memory().available / 1e9
    cores = usable_cores()
    machine = MachineResources.with_free_memory(free, cores) if given is None else MachineResources(given, cores)
    found = recommend(load_catalogue(load_settings().data_dir / "models.toml"), machine, role=role, language=language)
    if as_json:
        typer.echo(json.dumps([_row(each) for each in found], indent=2))
        return
    if given is None:
        share = f"{machine.memory_gb / free:.0%} of the {free:.1f} GB that is free; --memory sets another amount"
        typer.echo(f"{machine.memory_gb:.1f} GB of memory for a model: {share}.")
    for each in found:
        typer.echo(f"{each.card.name} ({each.size_gb:.1f} GB): {'; '.join(each.reasons)}")
    if found:
        typer.echo(f"Get the first: qwendesk models pull {found[0].card.name}")
    else:
        fits = f"fits {machine.memory_gb:.1f} GB on {machine.cores} cores"
        typer.echo(f"No model for {task} {fits}: use a server (QWENDESK_ENGINE).")


def _gigabytes(given: str) -> float:
    """Return an amount of memory in GB.

    Raises:
        ConfigError: it is not a number greater than 0.
    """
    try:
        amount = float(given)
    except ValueError:
        amount = 0.0
    if not 0 < amount < float("inf"):
        raise ConfigError(f"--memory is {given!r}: write how many GB the model may take, more than 0, such as 8.")
    return amount


def _language(given: str) -> str:
    """Return the code of a language given as a code, with or without a country, or by its English name.

    Raises:
        ConfigError: there is none like it.
    """
    from babel import Locale

    known = Locale("en").languages
    code = re.split("[-_]", given.strip().lower())[0]
    named = next((each for each, name in known.items() if name.casefold() == given.strip().casefold()), None)
    if code not in known and named is None:
        raise ConfigError(f"No language is called {given!r}: write its code (ISO 639), such as it, sw or zh.")
    return named or code


async def show_benchmark(name: str, as_json: bool) -> None:
    """Benchmark a model and print the result."""
    pool = build_pool(load_settings())
    try:
        choice = await pool.choose("general", name)
        if choice is None:
            raise EngineUnavailable(f"No engine here can run {name!r}.")
        result = await benchmark_model(pool, choice)
    finally:
        await pool.aclose()
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    typer.echo(f"{result.model} on {result.engine}: {result.health}")
    typer.echo(f"  loaded in {result.load_s} s, {result.memory_mb} MB more memory")
    typer.echo(f"  first token after {result.ttft_ms} ms, {result.tokens_per_second} tokens/s")
    for line in result.advice:
        typer.echo(f"  → {line}")


def _row(each: Recommendation) -> dict[str, object]:
    return {
        "name": each.card.name,
        "size_gb": round(each.size_gb, 2),
        "needs_gb": round(each.needs_gb, 2),
        "tokens_per_second": round(each.tokens_per_second, 1),
        "reasons": list(each.reasons),
    }


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
