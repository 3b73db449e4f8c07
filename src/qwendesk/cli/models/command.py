"""``qwendesk models``: list, show, download, remove and recommend models."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command

if TYPE_CHECKING:
    from qwendesk.models.card import ModelCard
    from qwendesk.models.catalogue import Catalogue
    from qwendesk.models.store.model_store import ModelStore
    from qwendesk.models.store.pull import StoredModel

app = typer.Typer(
    help="List, download and remove models.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

WIDE = 160
"""Table width if the output is not a terminal."""
EngineName = Annotated[
    str | None, typer.Option("--engine", help="List the models of this engine, such as ollama, and which are loaded.")
]
PullName = Annotated[str, typer.Argument(help="The model's name; ollama:NAME pulls it on the Ollama server.")]
Name = Annotated[str, typer.Argument(help="The model's name, such as qwen2.5-coder-0.5b.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
All = Annotated[bool, typer.Option("--all", help="List the whole catalogue, not only installed models.")]
SourceName = Annotated[
    str | None, typer.Option("--source", help="Use only this source: index, huggingface, modelscope or ollama.")
]
FromFile = Annotated[Path | None, typer.Option("--from", help="Import this GGUF file instead of downloading one.")]
Task = Annotated[str, typer.Option("--task", help="general, coder, math, vision, thinking or audio.")]
Memory = Annotated[
    str | None,
    typer.Option("--memory", metavar="GB", help="GB of memory for the model; default: 70 % of the free memory."),
]
Language = Annotated[str | None, typer.Option("--language", help="Required language, such as it or sw.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_models(everything: All = False, engine: EngineName = None, as_json: AsJson = False) -> None:
    """List the installed models, or the whole catalogue."""
    if engine:
        from qwendesk.cli.models.server_models import show_models

        run_command(show_models(engine, as_json))
    else:
        run_command(_list(everything, as_json))


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show a model's card and whether it is installed."""
    run_command(_show(name, as_json))


@app.command()
def pull(name: PullName, source: SourceName = None, file: FromFile = None) -> None:
    """Download a model; an interrupted download continues."""
    again = f"Stopped. The partial download is kept: 'qwendesk models pull {name}' continues it."
    from qwendesk.cli.models.server_models import engine_of, pull_through

    engine, inner = engine_of(name)
    work = pull_through(engine, inner) if engine and not (source or file) else _pull(inner, source, file)
    typer.echo(run_command(work, interrupted=again))


@app.command()
def rm(name: Name, yes: Yes = False) -> None:
    """Delete a model's files, partial downloads included."""
    if not yes:
        run_command(_see_it_is_here(name))
        typer.confirm(f"Delete the files of {name!r}?", abort=True, err=True)
    freed = run_command(_remove(name))
    typer.echo(f"Removed {name}: {freed / 1e6:,.1f} MB freed.", err=True)


@app.command()
def path(name: Name) -> None:
    """Print the path of a model's GGUF file."""
    typer.echo(run_command(_path(name)))


@app.command()
def recommend(
    task: Task = "general", memory: Memory = None, language: Language = None, as_json: AsJson = False
) -> None:
    """Recommend models for this machine, a task and a language, with reasons."""
    from qwendesk.cli.models.recommendations import show_recommendations

    run_command(show_recommendations(task, memory, language, as_json))


@app.command()
def test(name: Name, as_json: AsJson = False) -> None:
    """Load a model, let it answer, and print its speed and health."""
    from qwendesk.cli.models.recommendations import show_benchmark

    run_command(show_benchmark(name, as_json))


async def _list(everything: bool, as_json: bool) -> None:
    catalogue, store = _open()
    here = {record.name: record for record in store.installed()}
    strangers = [_card(catalogue, name) for name in here if name not in catalogue]
    cards = [card for card in [*catalogue, *strangers] if everything or card.name in here]
    rows = [_row(card, here.get(card.name), store) for card in cards]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        _print_table(rows)
    else:
        typer.echo("No model is installed. 'qwendesk models list --all' lists the catalogue.", err=True)


async def _show(name: str, as_json: bool) -> None:
    catalogue, store = _open()
    card = _card(catalogue, name, store)
    record = store.record(card)
    tree = asdict(card) | _row(card, record, store) | {"stored": asdict(record) if record else None}
    if as_json:
        typer.echo(json.dumps(tree, indent=2, default=str))
        return
    for key, value in tree.items():
        typer.echo(f"{key:18} {_plain(value)}")


async def _pull(name: str, source: str | None, file: Path | None) -> str:
    from qwendesk.cli.models.progress import pull_progress

    catalogue, store = _open()
    card = catalogue.get(name)
    with pull_progress() as progress:
        return str(await store.pull(card, progress, source, file))


async def _see_it_is_here(name: str) -> None:
    """Raise the error that removing the model would raise, before the confirmation."""
    catalogue, store = _open()
    store.check(_card(catalogue, name, store))


async def _remove(name: str) -> int:
    catalogue, store = _open()
    return await store.remove(_card(catalogue, name, store))


async def _path(name: str) -> Path:
    catalogue, store = _open()
    return store.path(_card(catalogue, name, store))


def _open() -> tuple[Catalogue, ModelStore]:
    from qwendesk.models.catalogue import load_catalogue
    from qwendesk.models.sources.base import SourceSettings
    from qwendesk.models.store.model_store import ModelStore
    from qwendesk.settings import load_settings

    settings = load_settings()
    store = ModelStore(settings.store_dir, SourceSettings.from_settings(settings))
    return load_catalogue(settings.data_dir / "models.toml"), store


def _card(catalogue: Catalogue, name: str, store: ModelStore | None = None) -> ModelCard:
    """Return a model's card; a minimal one if an installed model is not in the catalogue."""
    from qwendesk.models.card import ModelCard

    known = store is None or any(record.name == name for record in store.installed())
    return ModelCard(name) if known and name not in catalogue else catalogue.get(name)


def _row(card: ModelCard, record: StoredModel | None, store: ModelStore) -> dict[str, Any]:
    from qwendesk.models.recommend import estimate_size_gb

    faults = record.faults(store.folder / card.name) if record else []
    return {
        "name": card.name,
        "state": "damaged" if faults else "here" if record else "-",
        "bytes": record.bytes if record else card.weights.bytes if card.weights else None,
        "estimate_gb": round(estimate_size_gb(card), 2),
        "parameters": card.parameters,
        "context": card.context,
        "roles": list(card.roles),
        "licence": card.licence,
    }


def _print_table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    table = Table(box=None, pad_edge=False)
    for title in ("model", "state", "size", "parameters", "context", "best at", "licence"):
        table.add_column(title, no_wrap=title in ("model", "size"))
    for row in rows:
        size = f"{row['bytes'] / 1e9:.2f} GB" if row["bytes"] else f"~{row['estimate_gb']:.1f} GB"
        numbers = (size, f"{row['parameters']:g}B", f"{row['context']:,}")
        table.add_row(row["name"], row["state"], *numbers, ", ".join(row["roles"]), row["licence"])
    console.print(table)


def _plain(value: object) -> str:
    if isinstance(value, list | tuple) and len(value) > 1 and isinstance(value[0], dict):
        return f"{len(value)} of them"
    if isinstance(value, list | tuple):
        return ", ".join(map(_plain, value)) or "-"
    if isinstance(value, dict):
        return "  ".join(f"{key}={_plain(item)}" for key, item in value.items() if item not in (None, (), []))
    return "-" if value is None or value == "" else str(value)
