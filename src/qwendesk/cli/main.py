"""All commands; a command's module is imported when the command runs, so that ``--help`` stays quick."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "init": "Write the settings of a new desk: a shop's web chat, a Telegram bot, a Slack app.",
    "chat": "Talk with Qwen here in the terminal; the first run fetches a small model by itself.",
    "serve": "Run the desk: the channels that are set up, the answering, the web server.",
    "channels": "See which channels there are, check their credentials, and play them without a network.",
    "models": "List, fetch and remove models.",
    "route": "See why a message goes where it goes, measure the router, and teach it.",
    "kb": "Give the desk documents to answer from, and search them.",
    "pairing": "Decide who may talk with the desk.",
    "messages": "See and retry messages that could not be answered or delivered.",
    "memory": "Show, export and forget what is kept about people.",
    "db": "Upgrade, check, back up, restore and thin out the database.",
    "doctor": "Look at what is installed, reachable and missing, and say what to do next.",
}
"""Each command's line of help; ``qwendesk.cli.NAME`` holds its ``app``."""


class _Commands(TyperGroup):
    """Knows the commands by name, and loads only the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in COMMANDS else command, rest


def _load(name: str) -> Any:
    from importlib import import_module

    return typer.main.get_command(import_module(f"qwendesk.cli.{name}").app)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from qwendesk import __version__

        typer.echo(f"qwendesk {__version__}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")]


@app.callback()
def qwendesk(version: Version = False) -> None:
    """Every message gets the right Qwen model."""
