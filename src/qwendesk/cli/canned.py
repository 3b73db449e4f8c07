"""``qwendesk canned``: answers that are written once, translated, and reviewed."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qwendesk.cli.memory import opened
from qwendesk.cli.run import run_command
from qwendesk.printable import many_lines, one_line

if TYPE_CHECKING:
    from qwendesk.desk.interpreter.canned import CannedAnswer, CannedAnswers, CannedText
    from qwendesk.settings import Settings

app = typer.Typer(
    help="Manage canned answers: written once, translated, reviewed.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

Name = Annotated[str, typer.Argument(metavar="SHORTCUT", help="The answer's short name, such as refund-days.")]
Body = Annotated[str, typer.Argument(metavar="TEXT", help="The text; - reads standard input.")]
NewBody = Annotated[str | None, typer.Option("--text", help="The new text; - reads standard input.")]
Question = Annotated[list[str] | None, typer.Option("--question", "-q", help="A sample question; may be repeated.")]
Language = Annotated[str, typer.Option("--language", "-l", help="Language that it is written in.")]
To = Annotated[list[str], typer.Option("--to", help="Language to translate into; may be repeated.")]
Of = Annotated[str | None, typer.Option("--language", "-l", help="Only texts in this language.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]


@app.command("list")
def listed(language: Of = None, as_json: AsJson = False) -> None:
    """List the answers with their languages and what has to be reviewed."""
    run_command(_list(language, as_json))


@app.command()
def add(shortcut: Name, text: Body, language: Language = "en", question: Question = None) -> None:
    """Add an answer."""
    run_command(_add(shortcut, text, language, question or []))


@app.command()
def edit(shortcut: Name, text: NewBody = None, question: Question = None) -> None:
    """Change an answer's text or sample questions; its translations become outdated."""
    run_command(_edit(shortcut, text, question))


@app.command()
def translate(
    shortcut: Annotated[str, typer.Argument(metavar="SHORTCUT|all", help="An answer, or all.")],
    to: To,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Model, as ENGINE:NAME.")] = None,
) -> None:
    """Translate an answer and its sample questions by a model; what is up to date stays."""
    run_command(_translate(shortcut, to, model))


@app.command()
def review(
    shortcut: Name,
    language: Annotated[str, typer.Option("--language", "-l", help="Language of the translation.")],
    text: NewBody = None,
    by: Annotated[str, typer.Option("--by", help="Who reviews it; default: the user's name.")] = "",
    question: Annotated[
        list[str] | None, typer.Option("--question", "-q", help="A sample question that is right; may be repeated.")
    ] = None,
) -> None:
    """Mark a translation as reviewed, with --text corrected; machine-made questions need --question each."""
    run_command(_review(shortcut, language, text, by, question))


@app.command()
def remove(shortcut: Name, language: Of = None) -> None:
    """Remove an answer, or its text in one language."""
    run_command(_remove(shortcut, language))


@app.command()
def export() -> None:
    """Write all answers as JSON."""
    run_command(_list(None, as_json=True))


@app.command("import")
def imported(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An export in JSON; - reads standard input.")],
) -> None:
    """Add the answers of an export; those with the same shortcut are changed."""
    run_command(_import(file))


@asynccontextmanager
async def _opened() -> AsyncIterator[tuple[CannedAnswers, Settings]]:
    from qwendesk.desk.interpreter.canned import CannedAnswers
    from qwendesk.settings import load_settings

    settings = load_settings()
    async with opened(settings) as memory:
        yield CannedAnswers(memory.scope), settings


async def _list(language: str | None, as_json: bool) -> None:
    from qwendesk.desk.interpreter.canned_exchange import exported
    from qwendesk.desk.interpreter.translator import parse_language

    code = parse_language(language) if language else None
    async with _opened() as (answers, _):
        found = await answers.listed()
    if as_json:
        wanted = [answer for answer in found if code is None or answer.in_language(code)]
        typer.echo(json.dumps(exported(wanted), ensure_ascii=False, indent=2))
        return
    for answer in found:
        for text in answer.texts:
            if code in (None, text.language):
                typer.echo(_line(answer, text))
    if not found:
        typer.echo("There are no canned answers yet.", err=True)


def _line(answer: CannedAnswer, text: CannedText) -> str:
    state = "outdated" if text.is_outdated else text.status
    doubts = f"  Check: {one_line('; '.join(text.doubts))}" if text.doubts and text.status == "machine" else ""
    return (
        f"{one_line(answer.shortcut)}  {text.language}  {state:9}  {one_line(' '.join(text.text.split())[:80])}{doubts}"
    )


async def _add(shortcut: str, text: str, language: str, questions: list[str]) -> None:
    from qwendesk.desk.interpreter.translator import parse_language

    async with _opened() as (answers, _):
        await answers.add(shortcut, parse_language(language), await _given(text), questions)
    typer.echo(f"{shortcut!r} is stored.", err=True)


async def _edit(shortcut: str, text: str | None, questions: list[str] | None) -> None:
    async with _opened() as (answers, _):
        changed = await answers.edit(shortcut, None if text is None else await _given(text), questions)
    outdated = [one.language for one in changed.texts if one.is_outdated]
    note = f" Outdated: {', '.join(outdated)} ('qwendesk canned translate {shortcut} --to ...')." if outdated else ""
    typer.echo(f"{shortcut!r} is at version {changed.version}.{note}", err=True)


async def _translate(shortcut: str, to: list[str], model: str | None) -> None:
    from qwendesk.desk.interpreter.canned_exchange import translate_canned
    from qwendesk.desk.interpreter.translator import parse_language
    from qwendesk.wiring import build_pool, build_translator

    codes = [parse_language(language) for language in to]
    failed = 0
    async with _opened() as (answers, settings):
        chosen = await answers.listed() if shortcut == "all" else [await answers.get(shortcut)]
        pool = build_pool(settings)
        try:
            translator = build_translator(settings, pool)
            for answer in chosen:
                for code in codes:
                    if code == answer.language:
                        continue
                    made = await translate_canned(answers, translator, answer, code, model=model)
                    failed += made.status in ("refused", "failed")
                    typer.echo(f"{answer.shortcut}  {code}  {made.status}  {many_lines(made.reason or made.text)}")
        finally:
            await pool.aclose()
    if failed:
        raise typer.Exit(1)


async def _review(shortcut: str, language: str, text: str | None, by: str, questions: list[str] | None) -> None:
    from qwendesk.desk.interpreter.translator import parse_language

    async with _opened() as (answers, _):
        body = None if text is None else await _given(text)
        code = parse_language(language)
        old = (await answers.get(shortcut)).in_language(code)
        new = (await answers.review(shortcut, code, by or getpass.getuser(), body, questions)).in_language(code)
    kept = new.questions if new else ()
    for dropped in (one for one in (old.questions if old else ()) if one not in kept):
        typer.echo(f"The question {one_line(dropped)!r} is dropped; if it is right, review with --question.", err=True)
    typer.echo(f"{shortcut!r} in {language!r} is reviewed.", err=True)


async def _remove(shortcut: str, language: str | None) -> None:
    from qwendesk.desk.interpreter.translator import parse_language

    async with _opened() as (answers, _):
        await answers.remove(shortcut, parse_language(language) if language else None)
    typer.echo(f"{shortcut!r} is removed.", err=True)


async def _import(file: Path) -> None:
    from qwendesk.desk.interpreter.canned_exchange import import_canned
    from qwendesk.errors import ConfigError

    try:
        text = await (_given("-") if str(file) == "-" else asyncio.to_thread(file.read_text, "utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error}.") from None
    async with _opened() as (answers, _):
        number = await import_canned(answers, text)
    typer.echo(f"{number} answers.", err=True)


async def _given(text: str) -> str:
    return await asyncio.to_thread(sys.stdin.read) if text == "-" else text
