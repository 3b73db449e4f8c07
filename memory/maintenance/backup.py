"""Check, back up and restore the whole database while others write."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Connection, inspect, text

from qwendesk.errors import StoreError
from qwendesk.memory import documents
from qwendesk.memory.database import EARLIER_ADVICE, Database
from qwendesk.memory.database_errors import translate_errors
from qwendesk.memory.maintenance import dump
from qwendesk.memory.migrations import upgrade
from qwendesk.settings import PRIVATE_FILE_MODE

_SQLITE = b"SQLite format 3\0"
_GZIP = b"\x1f\x8b"
_MAX_PROBLEMS = 20
"""Problems reported; a damaged file can have thousands."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A backup that was written or restored."""

    file: str
    size: int
    revision: str


async def backup(database: Database, file: Path) -> Copy:
    """Write a consistent copy: a database file of SQLite, a dump of PostgreSQL.

    Raises:
        StoreError: the database has no tables, the file exists, or it cannot be written.
    """
    return await _write_copy(database, file, is_dump=not database.file)


async def write_dump(database: Database, file: Path) -> Copy:
    """Write a dump, which any database can load; the database may be of an earlier Qwendesk.

    Raises:
        StoreError: the database has no tables, the file exists, or it cannot be written.
    """
    return await _write_copy(database, file, is_dump=True)


async def _write_copy(database: Database, file: Path, *, is_dump: bool) -> Copy:
    state = await revision(database)
    if state.revision is None:
        raise StoreError(f"The database {database.name!r} has no tables yet, so there is nothing to back up.")
    part = await asyncio.to_thread(_create_part, file)
    with translate_errors(str(file), database.busy_timeout):
        try:
            await _write(database, state.revision, part, is_dump=is_dump)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)
    return await _result(file, state.revision)


def _create_part(file: Path) -> Path:
    """Create the temporary file that becomes the backup once it is complete."""
    try:
        if file.is_dir():
            inside = str(file / "qwendesk.backup")
            raise StoreError(f"{str(file)!r} is a folder; name a file in it, such as {inside!r}.")
        if file.exists():
            raise StoreError(f"{str(file)!r} exists already; name another file or remove it first.")
        part = file.with_name(file.name + ".part")
        _open_private(part).close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"The backup {str(file)!r} cannot be written ({reason}); name a file in a folder that is there and can be "
            "written."
        ) from error
    return part


async def restore(database: Database, file: Path, *, force: bool = False) -> Copy:
    """Replace the database's content by a backup or dump in one transaction, and upgrade it.

    Raises:
        StoreError: the backup is damaged or of a newer Qwendesk, or the database is not empty and ``force`` is not set.
    """
    kind = await asyncio.to_thread(_kind, file)
    wanted = await asyncio.to_thread(_sqlite_revision if kind == _SQLITE else dump.revision_of, file)
    if wanted not in upgrade.EARLIER and wanted not in upgrade.revisions():
        raise StoreError(f"The backup {str(file)!r} is of a newer Qwendesk (revision {wanted}); upgrade qwendesk.")
    if not force and await _has_content(database):
        raise StoreError(f"The database {database.name!r} is not empty; add --force to write over it.")
    epoch = await documents.epoch(database)
    if kind == _SQLITE and database.file and wanted not in upgrade.EARLIER:
        await _put_file(database, file)
    elif kind == _SQLITE:
        await _convert(database, file, wanted)
    else:
        await _fill(database, file, wanted)
    await database.open()
    await documents.begin_epoch(database, epoch + 1)
    return await _result(file, wanted)


async def _write(database: Database, revision: str, part: Path, *, is_dump: bool) -> None:
    with await asyncio.to_thread(_open_private, part) as opened:
        if database.file and not is_dump:
            await asyncio.to_thread(_copy, database.file, part)
        else:
            await dump.write(database, revision, opened)
        opened.flush()
        os.fsync(opened.fileno())


def _open_private(part: Path) -> BinaryIO:
    """Open a new file that only its owner may read."""
    return os.fdopen(os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, PRIVATE_FILE_MODE), "wb")


async def _result(file: Path, revision: str) -> Copy:
    return Copy(str(file), (await asyncio.to_thread(file.stat)).st_size, revision)


def _copy(source: Path, target: Path) -> None:
    """Copy all pages in one step, which gives a consistent copy while writers continue."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other, pages=-1)


def _kind(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            start = opened.read(16)
    except OSError as error:
        raise StoreError(f"The backup {str(file)!r} cannot be read: {error.strerror or error}.") from None
    kind = next((kind for kind in (_SQLITE, _GZIP) if start.startswith(kind)), None)
    if kind is None:
        raise StoreError(f"{str(file)!r} is not a backup: neither a SQLite database nor gzipped JSON Lines.")
    return kind


def _sqlite_revision(file: Path) -> str:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            damage = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"The backup {str(file)!r} is damaged or is none: {error}.") from None
    if damage != "ok" or not found:
        raise StoreError(f"The backup {str(file)!r} is damaged: {damage}.")
    return str(found[0])


async def _has_content(database: Database) -> bool:
    if database.file and not database.file.exists():
        return False
    async with database.read() as connection:
        return await connection.run_sync(_has_rows)


def _has_rows(connection: Connection) -> bool:
    there = set(inspect(connection).get_table_names())
    named = [table for table in ("person", "conversation", "kb_document") if table in there]
    return any(connection.execute(text(f"SELECT 1 FROM {table} LIMIT 1")).first() for table in named)


async def _put_file(database: Database, file: Path) -> None:
    """Copy the backup's pages into the file in one transaction, for programs that have it open."""
    target = database.file
    assert target is not None
    with translate_errors(database.name, database.busy_timeout):
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not target.exists():
            target.touch(mode=PRIVATE_FILE_MODE)
        await asyncio.to_thread(_copy, file, target)


async def _convert(database: Database, file: Path, wanted: str) -> None:
    """Load a SQLite backup into another kind of database, or one of an earlier Qwendesk."""
    source = Database(f"sqlite+aiosqlite:///{file}", database.busy_timeout)
    try:
        with tempfile.TemporaryDirectory() as folder:
            rows = Path(folder) / "rows.jsonl.gz"
            with rows.open("wb") as opened:
                await dump.write(source, wanted, opened)
            await _fill(database, rows, wanted)
    finally:
        await source.aclose()


async def _fill(database: Database, file: Path, wanted: str) -> None:
    with translate_errors(database.name, database.busy_timeout):
        await database.create_file()
        async with upgrade.transaction(database.engine) as connection:
            await connection.run_sync(dump.fill, file, wanted)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """The result of a check."""

    revision: str | None
    """None: the database has no tables."""
    head: str
    """The revision that this program needs."""
    problems: tuple[str, ...] = ()

    @property
    def is_newer(self) -> bool:
        """Whether a newer Qwendesk wrote it."""
        return self.revision is not None and not (self.is_earlier or self.revision in upgrade.revisions())

    @property
    def is_earlier(self) -> bool:
        """Whether a Qwendesk before the first migration wrote it."""
        return self.revision in upgrade.EARLIER


async def revision(database: Database) -> DatabaseState:
    """Return the revision, without creating a missing file."""
    if database.file and not database.file.exists():
        return DatabaseState(None, upgrade.head())
    with translate_errors(database.name, database.busy_timeout):
        return DatabaseState(await upgrade.current(database.engine), upgrade.head())


async def check(database: Database) -> DatabaseState:
    """Check for damage, broken references and tables that differ from their description."""
    state = await revision(database)
    if state.revision is None:
        return DatabaseState(None, state.head, ("there are no tables yet: run 'qwendesk db upgrade'",))
    if state.is_newer:
        return DatabaseState(
            state.revision, state.head, (f"revision {state.revision} is of a newer Qwendesk: upgrade qwendesk",)
        )
    if state.is_earlier:
        return DatabaseState(state.revision, state.head, (f"revision {state.revision} {EARLIER_ADVICE}",))
    try:
        problems = await _damage(database) if database.is_sqlite else []
    except StoreError as error:
        problems = [str(error)]
    if state.revision != state.head:
        problems.append(f"revision {state.revision} is behind {state.head}: run 'qwendesk db upgrade'")
    elif not problems:
        problems += await _differences(database) or await documents.find_problems(database)
    return DatabaseState(state.revision, state.head, tuple(problems[:_MAX_PROBLEMS]))


async def _damage(database: Database) -> list[str]:
    async with database.read() as connection:
        found = [str(row[0]) for row in await connection.exec_driver_sql("PRAGMA integrity_check")]
        loose = [row[0] for row in await connection.exec_driver_sql("PRAGMA foreign_key_check")]
    problems = [f"the file is damaged: {line}" for line in found if line != "ok"]
    return problems + [f"a row of {table!r} refers to a missing row" for table in loose]


async def _differences(database: Database) -> list[str]:
    async with database.read() as connection:
        return await connection.run_sync(_schema_differences)


def _schema_differences(connection: Connection) -> list[str]:
    from alembic import command
    from alembic.util import AutogenerateDiffsDetected

    try:
        command.check(upgrade.config(connection, quiet=True))
    except AutogenerateDiffsDetected as difference:
        return [f"the tables differ from their description: {difference}"]
    return []
