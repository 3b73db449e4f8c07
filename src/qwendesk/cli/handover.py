"""``qwendesk handover``: why messages would be handed over to a person."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from qwendesk.cli.run import run_command

app = typer.Typer(
    help="Tell why messages would be handed over to a person.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Texts = Annotated[list[str] | None, typer.Argument(help="Messages of a customer, each by itself.", show_default=False)]
OneEachLine = Annotated[Path | None, typer.Option("--file", help="A file with a message in each line; - is stdin.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, one object a line, for programs.")]


@app.callback()
def handover() -> None:
    """Tell why messages would be handed over to a person."""


@app.command()
def test(texts: Texts = None, file: OneEachLine = None, as_json: AsJson = False) -> None:
    """Tell for messages whether they would be handed over before the bot answers, and why.

    Each message counts as the first one of a ticket. Reasons of answers, such as failed checks, need an answer.
    """
    run_command(_test(texts or [], file, as_json))


async def _test(texts: list[str], file: Path | None, as_json: bool) -> None:
    from qwendesk.desk.handover.anger import anger
    from qwendesk.desk.handover.decide import HandoverSignals, decide_by_message
    from qwendesk.desk.handover.reasons import IN_WORDS
    from qwendesk.desk.handover.wish import wants_person
    from qwendesk.errors import InputError
    from qwendesk.printable import one_line
    from qwendesk.settings import load_settings

    messages = [*texts, *(_lines(file) if file else ())]
    if not messages:
        raise InputError("There is no message to test. Give messages as arguments, or a file with --file.")
    settings = load_settings().handover
    for text in messages:
        found, wish, angry = decide_by_message(text, HandoverSignals(), settings), wants_person(text), anger(text)
        if as_json:
            value = {
                "text": text,
                "reason": found.reason if found else None,
                "detail": found.detail if found else "",
                "wish": {"kind": wish.kind, "language": wish.language, "words": wish.words} if wish else None,
                "anger": angry,
            }
            typer.echo(json.dumps(value, ensure_ascii=False))
            continue
        if found:
            said = f" ({wish.language}: {wish.words!r})" if wish and found.reason == "asked" else f" ({found.detail})"
            outcome = f"handed over: {IN_WORDS[found.reason]}{said}"
        else:
            outcome = "the bot answers" + (f" (anger {angry} of 3)" if angry else "")
        typer.echo(f"{one_line(text)}\n  {outcome}")


def _lines(file: Path) -> list[str]:
    from qwendesk.errors import InputError

    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The file {str(file)!r} cannot be read: {error}. Give a text file in UTF-8.") from error
    return [line for line in text.splitlines() if line.strip()]
