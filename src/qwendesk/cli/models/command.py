"""``qwendesk models``: what can be used, what is here, fetching and removing."""

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
    from qwendesk.models.store.record import StoredModel

app = typer.Typer(
    help="List, fetch and remove models.", no_args_is_help=True, add_completion=False, rich_markup_mode=None
)

WIDE = 160
"""Width of tables that go to a file or a program."""
EngineName = Annotated[
    str | None, typer.Option("--engine", help="List what this engine has, such as ollama, and what is in its memory.")
]
PullName = Annotated[str, typer.Argument(help="The model's name; ollama:NAME lets the Ollama server fetch it.")]
Name = Annotated[str, typer.Argument(help="The model's name, such as qwen2.5-coder-0.5b.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
All = Annotated[bool, typer.Option("--all", help="List the whole catalogue, not only what is here.")]
SourceName = Annotated[
    str | None, typer.Option("--source", help="Ask this source only: index, huggingface, modelscope or ollama.")
]
FromFile = Annotated[Path | None, typer.Option("--from", help="Take in this GGUF file instead of fetching one.")]
Task = Annotated[str, typer.Option("--task", help="general, coder, math, vision, thinking or audio.")]
Memory = Annotated[float | None, typer.Option("--memory", help="GB of memory for it; default: what is free.")]
Language = Annotated[str | None, typer.Option("--language", help="A language that matters, such as it or sw.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@app.command("list")
def list_models(everything: All = False, engine: EngineName = None, as_json: AsJson = False) -> None:
    """List the models that are here, or all that are known."""
    if engine:
        from qwendesk.cli.models.server_models import show_models

        run_command(show_models(engine, as_json))
    else:
        run_command(_list(everything, as_json))


@app.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show what is known of a model, and whether it is here."""
    run_command(_show(name, as_json))


@app.command()
def pull(name: PullName, source: SourceName = None, file: FromFile = None) -> None:
    """Fetch a model; an interrupted pull goes on where it stopped."""
    again = f"Stopped. What has come is kept: 'qwendesk models pull {name}' goes on from there."
    from qwendesk.cli.models.server_models import engine_of, pull_through

    engine, inner = engine_of(name)
    work = pull_through(engine, inner) if engine and not (source or file) else _pull(inner, source, file)
    typer.echo(run_command(work, interrupted=again))


@app.command()
def rm(name: Name, yes: Yes = False) -> None:
    """Delete a model's files, an interrupted pull's included."""
    if not yes:
        run_command(_see_it_is_here(name))
        typer.confirm(f"Delete the files of {name!r}?", abort=True, err=True)
    freed = run_command(_remove(name))
    typer.echo(f"Removed {name}: {freed / 1e6:,.1f} MB are free again.", err=True)


@app.command()
def path(name: Name) -> None:
    """Write the path of a model's GGUF file."""
    typer.echo(run_command(_path(name)))


@app.command()
def recommend(
    task: Task = "general", memory: Memory = None, language: Language = None, as_json: AsJson = False
) -> None:
    """Say which models suit this machine, a task and a language, and why."""
    from qwendesk.cli.models.recommendations import show_recommendations

    run_command(show_recommendations(task, memory, language, as_json))


@app.command()
def test(name: Name, as_json: AsJson = False) -> None:
    """Load a model, let it answer, and say how fast and healthy it is."""
    from qwendesk.cli.models.recommendations import show_trial

    run_command(show_trial(name, as_json))


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
        typer.echo("No model is here yet. 'qwendesk models list --all' shows what there is.", err=True)


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
    """Raise the error that removing it would, before anybody is asked."""
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
    """Return a model's card, a bare one for what is here but in no catalogue any more."""
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
