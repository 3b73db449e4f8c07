"""A backup that any of the databases can take: gzipped JSON Lines, a header first, then a row a line."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO, TextIO, cast

from sqlalchemy import JSON, Connection, DateTime, LargeBinary, MetaData, Table, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.errors import StoreError
from qwendesk.memory.database import Database
from qwendesk.memory.migrations import upgrade
from qwendesk.memory.tables.conversations import Base
from qwendesk.memory.tables.documents import KbChunk

FORMAT = 1
_AT_ONCE = 500
_COUNT_ON = text(
    f"SELECT setval(pg_get_serial_sequence('{KbChunk.__tablename__}', 'id'), coalesce(max(id), 0) + 1, false) "
    f"FROM {KbChunk.__tablename__}"
)
"""Rows that come with their numbers leave PostgreSQL's counter where it was."""
Line = tuple[str, dict[str, Any]]


async def write(database: Database, revision: str, opened: BinaryIO) -> int:
    """Write all rows as they are at one moment; return how many."""
    count = 0
    with gzip.open(opened, "wt", encoding="utf-8", newline="\n") as out:
        written = cast(TextIO, out)
        written.write(json.dumps({"qwendesk_backup": FORMAT, "revision": revision}) + "\n")
        async for table, row in _rows(database):
            written.write(json.dumps([table, row], ensure_ascii=False) + "\n")
            count += 1
    return count


async def _rows(database: Database) -> AsyncIterator[Line]:
    async with database.read() as connection:
        for table in await connection.run_sync(_tables):
            async for row in _of(connection, table):
                yield table.name, row


async def _of(connection: AsyncConnection, table: Table) -> AsyncIterator[dict[str, Any]]:
    columns = [column for column in table.c if column.computed is None]
    statement = select(*columns).order_by(*table.primary_key.columns)
    async for row in await connection.stream(statement, execution_options={"yield_per": _AT_ONCE}):
        yield {name: _plain(value) for name, value in row._mapping.items()}


def _tables(connection: Connection) -> list[Table]:
    """Return our tables as they are in the database now, whatever its revision; parents first."""
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: name in Base.metadata.tables)
    for table in metadata.tables.values():
        for column in table.c:
            if isinstance(column.type, JSON):
                column.type.none_as_null = True
    return metadata.sorted_tables


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).isoformat()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes | memoryview) else value


def lines(file: Path) -> Iterator[Any]:
    """Give the header and then the rows.

    Raises:
        StoreError: the file is no backup, or is damaged.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as opened:
            for line in opened:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise StoreError(f"The backup {str(file)!r} is damaged or is none: {error}.") from None


def header(file: Path) -> str:
    """Return the revision of a backup."""
    first = next(lines(file), None)
    if not isinstance(first, dict) or first.get("qwendesk_backup") != FORMAT:
        raise StoreError(f"{str(file)!r} is not a backup that this Qwendesk can read.")
    return str(first["revision"])


def fill(connection: Connection, file: Path, revision: str) -> int:
    """Put the rows in place of all that is there, in the caller's transaction; return how many."""
    from alembic import command

    config = upgrade.config(connection, quiet=True)
    command.downgrade(config, "base")
    command.upgrade(config, revision)
    tables = {table.name: table for table in _tables(connection)}
    for table in reversed(tables.values()):
        connection.execute(table.delete())
    count = 0
    rows = lines(file)
    next(rows)
    for name, group in groupby(rows, key=lambda line: str(line[0])):
        for some in _chunks(_typed(tables[name], row) for _, row in group):
            connection.execute(tables[name].insert(), some)
            count += len(some)
    command.upgrade(config, "head")
    if connection.dialect.name == "postgresql":
        connection.execute(_COUNT_ON)
    return count


def _chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    some: list[dict[str, Any]] = []
    for row in rows:
        some.append(row)
        if len(some) == _AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(table.c[name].type, value) for name, value in row.items()}


def _value(kind: Any, value: Any) -> Any:
    if isinstance(kind, DateTime) and value is not None:
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(kind, LargeBinary) and value is not None else value
