"""``qwendesk init``: create the settings of a new desk."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from qwendesk.settings import PRIVATE_FILE_MODE

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class Kind:
    """A template of a desk."""

    help: str
    next_steps: tuple[str, ...]
    """Next steps; ``{}`` is the folder."""


KINDS = {
    "shop": Kind(
        "a web chat that answers customers from the shop's own documents",
        (
            "qwendesk kb add documents       # the example's questions and answers; replace them with your own",
            "qwendesk serve                  # then open http://127.0.0.1:8377",
        ),
    ),
    "telegram": Kind(
        "a Telegram bot",
        (
            "qwendesk channels simulate telegram --access open  # plays the bot without a network",
            "pip install 'qwendesk[telegram]'",
            "put the token of @BotFather into .env",
            "qwendesk channels test telegram # prints the bot's name",
            "qwendesk serve                  # then write to the bot, and approve yourself with the code it shows",
        ),
    ),
    "slack": Kind(
        "a Slack app",
        (
            "qwendesk channels simulate slack --access open  # plays the app without a network",
            "pip install 'qwendesk[slack]'",
            "qwendesk channels manifest slack  # create the app from it, then put its tokens into .env",
            "qwendesk channels test slack      # prints the workspace",
            "qwendesk serve",
        ),
    ),
}
_NAMES = {"env": ".env"}

What = Annotated[str, typer.Argument(metavar="|".join(KINDS), help="Template of the desk.")]
Folder = Annotated[Path, typer.Argument(help="Target folder, created if missing; default: the working directory.")]
Fetch = Annotated[
    bool | None,
    typer.Option(
        "--fetch/--no-fetch",
        help="Download the model that suits small machines, or do not; default: only at a terminal.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite files; each is kept as NAME.bak.")]


@app.command(no_args_is_help=True)
def init(kind: What, folder: Folder = Path(), force: Force = False, fetch: Fetch = None) -> None:
    """Create the settings of a new desk: a shop's web chat, a Telegram bot, a Slack app.

    shop: a web chat that answers from documents, with examples. telegram: a bot. slack: an app.
    Then download a model, where none is chosen and memory and disk allow it.
    """
    from qwendesk.cli.run import run_command

    stopped = "Stopped. The files are written; 'qwendesk models pull NAME' goes on with the download."
    run_command(_init(kind, folder, force, fetch), interrupted=stopped)


async def _init(kind: str, folder: Path, force: bool, fetch: bool | None) -> None:
    import asyncio

    from qwendesk.errors import ConfigError, no_such

    if kind not in KINDS:
        raise ConfigError(no_such("There is no kind of desk called", kind, sorted(KINDS)))
    try:
        written = await asyncio.to_thread(_write, kind, folder, force)
    except OSError as error:
        raise ConfigError(f"{str(folder)!r} cannot be written: {error.strerror or error}.") from None
    typer.echo(f"Wrote {', '.join(str(file) for file in written)}: {KINDS[kind].help}.")
    to_pull = await _fetch_model(fetch)
    typer.echo("\nNext:")
    steps = (*to_pull, *KINDS[kind].next_steps)
    for step in (f"cd {quote(str(folder))}", *steps) if folder != Path() else steps:
        typer.echo(f"  {step}")
    typer.echo("\n'qwendesk doctor' lists what is missing.")


async def _fetch_model(wanted: bool | None) -> tuple[str, ...]:
    """Download the model that replaces the starter model; return the step that is left where it was not."""
    import asyncio
    import sys

    from qwendesk.cli.models.larger_model import OfferDecisions, fetch_obstacle, missing_larger_model
    from qwendesk.cli.models.progress import pull_progress
    from qwendesk.errors import QwendeskError
    from qwendesk.models.sources.base import SourceSettings
    from qwendesk.models.store.model_store import ModelStore
    from qwendesk.settings import STARTER_MODEL, load_settings
    from qwendesk.wiring import build_pool

    try:
        settings = load_settings()
        pool = build_pool(settings)
        card = await missing_larger_model(pool)
        has_starter = any(model.name == STARTER_MODEL for model in await pool.models())
    except QwendeskError:
        return ()  # 'qwendesk doctor' names what is wrong with settings that were there before
    if card is None:
        return ()
    if reason := await asyncio.to_thread(fetch_obstacle, card, settings):
        later = "" if has_starter else "; the first answer fetches it"
        typer.echo(f"{card.name} is not fetched: {reason}. {STARTER_MODEL} answers{later}.")
        return ()
    starter = f"{STARTER_MODEL}, which {'is installed' if has_starter else 'the first answer fetches'}"
    step = f"qwendesk models pull {card.name}  # instead of {starter}"
    if wanted is None:
        if await asyncio.to_thread(OfferDecisions(settings).get, card.name) == "no":
            return ()
        wanted = sys.stdin.isatty() and sys.stderr.isatty()
    if not wanted:
        return (step,)
    store = ModelStore(settings.store_dir, SourceSettings.from_settings(settings))
    try:
        with pull_progress() as progress:
            await store.pull(card, progress)
    except QwendeskError as error:
        typer.echo(f"{card.name} could not be fetched: {error}", err=True)
        return (step,)
    typer.echo(f"Fetched {card.name}, which answers from now on.")
    return ()


def _write(kind: str, folder: Path, force: bool) -> list[Path]:
    from qwendesk.errors import ConfigError

    with as_file(files("qwendesk.cli") / "templates" / kind) as template:
        sources = sorted(path for path in template.rglob("*") if path.is_file())
        targets = [folder / path.relative_to(template).with_name(_NAMES.get(path.name, path.name)) for path in sources]
        existing = [str(target) for target in targets if target.exists()]
        if existing and not force:
            verb = "exists" if len(existing) == 1 else "exist"
            raise ConfigError(
                f"{', '.join(existing)} {verb} already: name another folder ('qwendesk init {kind} FOLDER'), or "
                "overwrite with --force, which keeps the old file beside as NAME.bak."
            )
        for source, target in zip(sources, targets, strict=True):
            if target.is_file() and target.read_bytes() == source.read_bytes():
                continue  # the backup is the user's file
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                target.replace(target.with_name(f"{target.name}.bak"))
            target.touch(PRIVATE_FILE_MODE if target.name in (".env", "qwendesk.toml") else 0o644)
            target.write_text(source.read_text("utf-8"), "utf-8")
    return targets
