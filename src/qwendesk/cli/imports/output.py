"""Show how far an import is, and what it has done."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from qwendesk.errors import ConfigError
from qwendesk.printable import one_line
from qwendesk.settings import PRIVATE_FILE_MODE

if TYPE_CHECKING:
    from qwendesk.desk.imports.records import Kind
    from qwendesk.desk.imports.report import ImportReport

_SHOWN_IDS = 5
_LABELS = {
    "contact": "contacts",
    "ticket": "tickets",
    "message": "messages",
    "note": "notes",
    "article": "articles",
    "canned": "canned",
    "file": "files",
}


@contextmanager
def import_progress() -> Iterator[Callable[[Kind, int, int | None], None]]:
    """Show a progress bar for each kind on stderr if it is a terminal; yield the function that moves them."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def show(kind: Kind, done: int, total: int | None) -> None:
            if kind not in tasks:
                tasks[kind] = bars.add_task(_LABELS[kind], total=total)
            bars.update(tasks[kind], completed=done)

        yield show


def print_report(report: ImportReport, *, dry_run: bool, as_json: bool, failure: str = "") -> None:
    """Print what was imported and what was left out, for people or as JSON.

    Args:
        report: the report.
        dry_run: whether nothing was stored.
        as_json: whether it is printed as JSON.
        failure: why the import has ended before everything was read; empty: it has not.
    """
    if as_json:
        left = [asdict(one) for one in report.left_out]
        whole = {"run": report.run or None, "dry_run": dry_run, "counts": report.as_dict(), "left_out": left}
        whole["error"] = failure or None
        typer.echo(json.dumps(whole, ensure_ascii=False, indent=2))
        return
    if failure and not report.counts.keys() - {"file"}:  # nothing was read, and the error says why
        return
    for kind, counts in report.counts.items():
        told = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in counts.items() if count)
        if told:
            typer.echo(f"{_LABELS.get(kind, kind):<10}{told}")
    _print_left_out(report)
    if dry_run:
        typer.echo("Nothing was stored.", err=True)
    elif report.run:
        typer.echo(f"'qwendesk imports undo {report.run}' takes it back.", err=True)


def _print_left_out(report: ImportReport) -> None:
    reasons: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for one in report.left_out:
        reasons[one.kind, one.reason].append(one.external_id)
    for (kind, reason), ids in reasons.items():
        some = ", ".join(filter(None, ids[:_SHOWN_IDS])) + (", ..." if len(ids) > _SHOWN_IDS else "")
        typer.echo(one_line(f"{_LABELS.get(kind, kind)}: {reason} ({len(ids)}{': ' if some else ''}{some})"), err=True)


def write_left_out(file: Path, report: ImportReport) -> None:
    """Write everything that was left out to a new file as JSON Lines.

    Raises:
        typer.Exit: it cannot be written; the reason has been told.
    """
    try:
        file.touch(PRIVATE_FILE_MODE, exist_ok=False)
        with file.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in report.left_out)
    except OSError as error:
        why = ConfigError(f"The file {str(file)!r} cannot be written: {error.strerror}.")
        typer.echo(f"Error: {why}", err=True)
        raise typer.Exit(1) from None
