"""The list of commands; a command's module is imported when the command runs."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "init": "Create the settings of a new desk: a shop's web chat, a Telegram bot, a Slack app.",
    "chat": "Chat with Qwen in the terminal; the first run downloads a small model.",
    "serve": "Run the desk: the configured channels, the worker, the web server.",
    "channels": "List channels, check their credentials, and simulate them without a network.",
    "models": "List, download and remove models.",
    "route": "Explain routing decisions, measure the router, and train it.",
    "bench": "Measure the quality of answers: the desk against the bare model.",
    "kb": "Manage and search the knowledge base.",
    "hours": "Show the opening hours, and whether the desk is open.",
    "handover": "Tell why messages would be handed over to a person.",
    "pairing": "Decide who may use the desk.",
    "tickets": "List, answer and change the tickets of customers.",
    "imports": "Import contacts, conversations, articles and canned answers from Chatwoot or Zammad.",
    "operators": "Manage the accounts of the people who answer customers.",
    "translate": "Translate a text as the desk does, and manage the glossary.",
    "canned": "Manage canned answers: written once, translated, reviewed.",
    "messages": "List and retry failed messages.",
    "webhooks": "List outbound webhooks, test them, and retry failed deliveries.",
    "rooms": "List operators' rooms, and retry failed posts.",
    "memory": "Show, export and delete stored data about people.",
    "db": "Migrate, check, back up, dump, load and purge the database.",
    "doctor": "Check installation and configuration, and print the next steps.",
}
"""Help of each command; ``qwendesk.cli.NAME`` has its ``app``."""


_TELL_THEMSELVES = ("doctor", "serve")
"""Commands that name unknown variables in their report or log."""


class _Commands(TyperGroup):
    """A group that loads a command's module when the command is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from qwendesk.errors import did_you_mean

            ctx.fail(f"No such command {args[0]!r}.{did_you_mean(args[:1], list(COMMANDS))}")
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
def qwendesk(ctx: typer.Context, version: Version = False) -> None:
    """Every message gets the right Qwen model."""
    if ctx.invoked_subcommand not in _TELL_THEMSELVES:
        _warn_of_unknown_variables()


def _warn_of_unknown_variables() -> None:
    from contextlib import suppress

    from qwendesk.settings import unknown_variables

    with suppress(UnicodeDecodeError, OSError):  # the settings name a .env that cannot be read
        if strange := unknown_variables():
            typer.echo(f"Warning: unknown variables: {', '.join(strange)}. Check the spelling.", err=True)
