"""``qwendesk models recommend`` and ``qwendesk models test``."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

import psutil
import typer

from qwendesk.engines.benchmark import benchmark_model
from qwendesk.engines.cpu_threads import usable_cores
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.messages import ROLES, as_role
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.recommend import MachineResources, Recommendation, recommend
from qwendesk.settings import load_settings
from qwendesk.wiring import build_pool

_MEMORY_SHARE = 0.7
"""Share of the free memory that a model may use."""


async def show_recommendations(task: str, memory: float | None, language: str | None, as_json: bool) -> None:
    """Print the best models for a task on this machine."""
    role = as_role(task)
    if role is None:
        raise ConfigError(f"There is no task {task!r}; there are: {', '.join(ROLES)}.")
    if memory is not None and not 0 < memory < float("inf"):
        raise ConfigError(f"--memory is {memory:g}: write how many GB the model may take, more than 0, such as 8.")
    language = _language(language) if language is not None else None
    free = memory if memory is not None else psutil.virtual_memory().available / 1e9 * _MEMORY_SHARE
    machine = MachineResources(free, usable_cores())
    found = recommend(load_catalogue(load_settings().data_dir / "models.toml"), machine, role=role, language=language)
    if as_json:
        typer.echo(json.dumps([_row(each) for each in found], indent=2))
        return
    for each in found:
        typer.echo(f"{each.card.name} ({each.size_gb:.1f} GB): {'; '.join(each.reasons)}")
    if found:
        typer.echo(f"Get the first: qwendesk models pull {found[0].card.name}")
    else:
        typer.echo(f"No model for {task} fits {free:.1f} GB on {machine.cores} cores: use a server (QWENDESK_ENGINE).")


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
