"""Models of an engine's server: list, show loaded ones, pull."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from qwendesk.cli.models.command import WIDE

if TYPE_CHECKING:
    from qwendesk.engines.base import ResidentModel
    from qwendesk.models.card import ModelCard


def engine_of(name: str) -> tuple[str, str]:
    """Split ``engine:name``; the engine is empty for the model store and if none is named."""
    from qwendesk import plugins
    from qwendesk.engines.servers import SERVER_KINDS

    engine, colon, inner = name.partition(":")
    if not (colon and inner and engine in {*plugins.names("engines"), *SERVER_KINDS}):
        return "", name
    return ("" if engine == "llamacpp" else engine), inner


async def pull_through(engine: str, name: str) -> str:
    """Pull a model on an engine's server and return its name."""
    from qwendesk.cli.models.progress import engine_progress
    from qwendesk.settings import load_settings
    from qwendesk.wiring import build_pool

    pool = build_pool(load_settings())
    try:
        with engine_progress() as progress:
            return f"{engine}:{await pool.engine(engine).pull(name, progress)}"
    finally:
        await pool.aclose()


async def show_models(engine: str, as_json: bool) -> None:
    """Print the models that an engine can use now."""
    from qwendesk.settings import load_settings
    from qwendesk.wiring import build_pool

    pool = build_pool(load_settings())
    try:
        cards = await pool.models(engine)
        resident = await pool.engine(engine).resident_models()
    finally:
        await pool.aclose()
    rows = [_row(card, resident.get(card.name)) for card in cards]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        _print_table(rows)
    else:
        typer.echo(f"The engine {engine} has no model yet: 'qwendesk models pull {engine}:NAME' fetches one.", err=True)


def _row(card: ModelCard, resident: ResidentModel | None) -> dict[str, Any]:
    return {
        "name": card.name,
        "loaded": resident is not None,
        "memory_bytes": resident.bytes if resident else None,
        "gpu_bytes": resident.gpu_bytes if resident else None,
        "loaded_context": resident.context if resident else None,
        "until": resident.expires_at.isoformat() if resident and resident.expires_at else None,
        "parameters": card.parameters,
        "context": card.context,
        "roles": list(card.roles),
        "tools": card.tools,
        "vision": card.vision,
        "thinking": card.thinking,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    table = Table(box=None, pad_edge=False)
    for title in ("model", "loaded", "memory", "GPU", "context", "best at"):
        table.add_column(title, no_wrap=title == "model")
    for row in rows:
        memory = (_gigabytes(row["memory_bytes"]), _gigabytes(row["gpu_bytes"]))
        table.add_row(row["name"], _loaded(row), *memory, f"{row['context']:,}", ", ".join(row["roles"]))
    console.print(table)


def _loaded(row: dict[str, Any]) -> str:
    if not row["loaded"]:
        return "-"
    if row["until"] is None:
        return "yes"
    left = (datetime.fromisoformat(row["until"]) - datetime.now(UTC)).total_seconds()
    # a server that keeps a model always reports an expiry centuries away
    return f"for {max(left, 0) / 60:.0f} min" if left < 7 * 24 * 3600 else "for good"


def _gigabytes(size: int | None) -> str:
    return f"{size / 1e9:.2f} GB" if size else "-"
