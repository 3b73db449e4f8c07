"""``qwendesk translate``: translate a text as the desk does between customers and operators, and the glossary."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from qwendesk.cli.run import run_command
from qwendesk.printable import many_lines, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from qwendesk.desk.interpreter.glossary import Glossary
    from qwendesk.desk.interpreter.translator import Translation


class _TextFirst(TyperGroup):
    """A group whose command ``text`` may be left out: ``qwendesk translate "Good morning" --to de``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["text", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_TextFirst,
    help="Translate a text as the desk does, and manage the glossary.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
glossary = typer.Typer(
    help="Terms with fixed translations, and names that are never translated.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
app.add_typer(glossary, name="glossary")

Text = Annotated[str, typer.Argument(metavar="TEXT", help="The text; - reads standard input.")]
To = Annotated[str, typer.Option("--to", help="Language to translate into: a code such as de, or its English name.")]
From = Annotated[str | None, typer.Option("--from", help="Language of the text; default: recognised.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Model, as ENGINE:NAME or a catalogue name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Entry = Annotated[
    list[str],
    typer.Argument(metavar="ENTRY...", help="A name that stays, or a term: en='order number' de='Bestellnummer'."),
]


@app.command()
def text(text: Text, to: To, source: From = None, model: Model = None, as_json: AsJson = False) -> None:
    """Translate a text; the word 'text' may be left out. The exit code is 1 where there is no translation."""
    run_command(_text(text, to, source, model, as_json))


@glossary.command("list")
def listed(as_json: AsJson = False) -> None:
    """List the names and terms."""
    run_command(_list(as_json))


@glossary.command()
def add(entry: Entry) -> None:
    """Add a name that is never translated, or a term in two languages or more."""
    run_command(_change(lambda glossary: _with(glossary, entry)))


@glossary.command()
def remove(name: Annotated[str, typer.Argument(metavar="TEXT", help="A name, or a term in any language.")]) -> None:
    """Remove a name or a term."""
    run_command(_change(lambda glossary: glossary.without(name)))


@glossary.command("import")
def imported(file: Annotated[Path, typer.Argument(metavar="FILE", help="A glossary in CSV or TOML.")]) -> None:
    """Add the names and terms of a file."""
    run_command(_import(file))


async def _text(given: str, to: str, source: str | None, model: str | None, as_json: bool) -> None:
    from qwendesk.desk.interpreter.translator import parse_language

    whole = await asyncio.to_thread(sys.stdin.read) if given == "-" else given
    result = await _translated(whole.rstrip("\n"), parse_language(to), source and parse_language(source), model)
    if as_json:
        typer.echo(json.dumps(asdict(result), ensure_ascii=False, indent=2))
    else:
        typer.echo(many_lines(result.text))
        if result.reason:
            typer.echo(f"Not translated: {many_lines(result.reason)}", err=True)
        for doubt in result.doubts:
            typer.echo(f"Check: {many_lines(doubt)}", err=True)
    if result.status in ("refused", "failed"):
        raise typer.Exit(1)


async def _translated(text: str, to: str, source: str | None, model: str | None) -> Translation:
    from qwendesk.settings import load_settings
    from qwendesk.wiring import build_pool, build_translator

    settings = load_settings()
    pool = build_pool(settings)
    try:
        return await build_translator(settings, pool).translate(text, to, source, model=model)
    finally:
        await pool.aclose()


async def _list(as_json: bool) -> None:
    from qwendesk.desk.interpreter.glossary import read_glossary

    found = await asyncio.to_thread(read_glossary, _file())
    if as_json:
        terms = [dict(term.by_language) for term in found.terms]
        typer.echo(json.dumps({"keep": found.names, "terms": terms}, ensure_ascii=False, indent=2))
        return
    for name in found.names:
        typer.echo(f"keep  {one_line(name)}")
    for term in found.terms:
        typer.echo("  ".join(f"{code}={one_line(word)}" for code, word in term.by_language))
    if not found.names and not found.terms:
        typer.echo(f"There is no glossary yet ({_file()}).", err=True)


async def _change(change: Callable[[Glossary], Glossary]) -> None:
    from qwendesk.desk.interpreter.glossary import read_glossary, write_glossary

    path = _file()
    changed = change(await asyncio.to_thread(read_glossary, path))
    await asyncio.to_thread(write_glossary, path, changed)
    typer.echo(f"{len(changed.names)} names, {len(changed.terms)} terms.", err=True)


async def _import(file: Path) -> None:
    from qwendesk.desk.interpreter.glossary import read_glossary
    from qwendesk.errors import ConfigError

    if not await asyncio.to_thread(file.is_file):
        raise ConfigError(f"There is no file {str(file)!r}.")
    other = await asyncio.to_thread(read_glossary, file)
    await _change(lambda glossary: glossary.joined(other))


def _with(glossary: Glossary, entry: list[str]) -> Glossary:
    from qwendesk.errors import ConfigError

    pairs = [part.partition("=") for part in entry]
    if all(sign for _, sign, _ in pairs):
        return glossary.with_term({code: word for code, _, word in pairs})
    if len(entry) > 1:
        raise ConfigError(f"{entry[0]!r}: put a name of several words in quotes; a term is en='...' de='...'.")
    return glossary.with_name(entry[0])


def _file() -> Path:
    from qwendesk.desk.interpreter.glossary import FILE_NAME
    from qwendesk.settings import load_settings

    settings = load_settings()
    return (settings.translation.glossary or settings.data_dir / FILE_NAME).expanduser()
