"""``qwendesk db``: database maintenance."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qwendesk.cli.run import run_command
from qwendesk.errors import ConfigError

if TYPE_CHECKING:
    from qwendesk.memory.database import Database

app = typer.Typer(
    help="Migrate, check, back up, dump, load and purge the database.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

File = Annotated[Path, typer.Argument(help="File of the backup or dump.")]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite the database's content.")]
Age = Annotated[str, typer.Option("--older-than", help="Age such as 90d, 12w, 18m or 2y.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only count.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_DAYS = {"d": 1, "w": 7, "m": 30, "y": 365}


@app.command()
def upgrade(as_json: AsJson = False) -> None:
    """Create or migrate the tables; every start does this as well."""
    run_command(_upgrade(as_json))


@app.command()
def current(as_json: AsJson = False) -> None:
    """Show the database's revision and the required one."""
    run_command(_current(as_json))


@app.command()
def check(as_json: AsJson = False) -> None:
    """Check for damage, broken references and differing tables."""
    run_command(_check(as_json))


@app.command()
def backup(file: File, as_json: AsJson = False) -> None:
    """Back up the database while it is in use: a database file for SQLite, .jsonl.gz for PostgreSQL."""
    run_command(_backup(file, as_json))


@app.command()
def restore(file: File, force: Force = False, as_json: AsJson = False) -> None:
    """Restore a backup, also from SQLite into PostgreSQL and vice versa."""
    run_command(_restore(file, force, as_json))


@app.command()
def dump(file: File, as_json: AsJson = False) -> None:
    """Write a dump as gzipped JSON Lines, which this and later versions load into SQLite or PostgreSQL."""
    run_command(_dump(file, as_json))


@app.command()
def load(file: File, force: Force = False, as_json: AsJson = False) -> None:
    """Replace the database's content with a dump, also of an earlier version."""
    run_command(_restore(file, force, as_json))


@app.command()
def purge(older_than: Age, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Delete older turns with their files and summaries, and facts that were superseded before."""
    run_command(_purge(older_than, dry_run, yes, as_json))


@asynccontextmanager
async def opened() -> AsyncIterator[Database]:
    """Yield the database of the settings without migrating it."""
    from qwendesk.memory.database import Database
    from qwendesk.settings import load_settings

    database = Database(load_settings().database, 5.0)
    try:
        yield database
    finally:
        await database.aclose()


async def _upgrade(as_json: bool) -> None:
    from qwendesk.memory.maintenance.backup import revision

    async with opened() as database:
        before = (await revision(database)).revision
        await database.open()
        after = (await revision(database)).revision
    _show({"before": before, "after": after}, f"{before or 'no tables'} -> {after}", as_json)


async def _current(as_json: bool) -> None:
    from qwendesk.memory.maintenance.backup import revision

    async with opened() as database:
        state = await revision(database)
        shown = {"database": database.name, "revision": state.revision, "head": state.head}
    _show(shown, f"{state.revision or 'no tables yet'} (this program needs {state.head})", as_json)


async def _check(as_json: bool) -> None:
    from qwendesk.memory.maintenance.backup import check as look

    async with opened() as database:
        state = await look(database)
    _show(asdict(state), "\n".join(state.problems) or "whole and up to date", as_json)
    if state.problems:
        raise typer.Exit(1)


async def _backup(file: Path, as_json: bool) -> None:
    from qwendesk.memory.maintenance.backup import backup as write

    async with opened() as database:
        copy = await write(database, file)
    _show(asdict(copy), f"{copy.file}: {copy.size:,} bytes", as_json)


async def _dump(file: Path, as_json: bool) -> None:
    from qwendesk.memory.maintenance.backup import write_dump

    async with opened() as database:
        copy = await write_dump(database, file)
    _show(asdict(copy), f"{copy.file}: {copy.size:,} bytes", as_json)


async def _restore(file: Path, force: bool, as_json: bool) -> None:
    from qwendesk.memory.maintenance.backup import restore as put_back

    async with opened() as database:
        copy = await put_back(database, file, force=force)
        name = database.name
    _show(asdict(copy), f"{name} is as {copy.file} was", as_json)


async def _purge(older_than: str, dry_run: bool, yes: bool, as_json: bool) -> None:
    from qwendesk.memory.maintenance.retention import purge as remove
    from qwendesk.memory.maintenance.retention import tenants
    from qwendesk.memory.tenancy import TenantDatabase

    before = datetime.now(UTC) - _age(older_than)
    if not dry_run and not yes:
        typer.confirm(f"Remove what is older than {before:%Y-%m-%d %H:%M} UTC for good?", abort=True, err=True)
    total: dict[str, int] = {}
    async with opened() as database:
        await database.open()
        for tenant in await tenants(database):
            for table, count in (await remove(TenantDatabase(database, tenant), before, dry_run=dry_run)).items():
                total[table] = total.get(table, 0) + count
        if not dry_run:
            await database.vacuum(always=True)
    what = ", ".join(f"{count} of {table}" for table, count in total.items() if count) or "nothing"
    _show({"dry_run": dry_run, "removed": total}, f"{'would remove' if dry_run else 'removed'} {what}", as_json)


def _age(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([dwmy])", text.strip().lower())
    if not found:
        raise ConfigError(f"{text!r} is not an age; write it like 90d, 12w, 18m or 2y.")
    return timedelta(days=int(found[1]) * _DAYS[found[2]])


def _show(values: dict[str, Any], text: str, as_json: bool) -> None:
    typer.echo(json.dumps(values, ensure_ascii=False) if as_json else text)
