"""Portable dumps for SQLite and PostgreSQL: gzipped JSON Lines with a header and one row a line."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from itertools import groupby, islice
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
_BATCH_ROWS = 500
_SET_SEQUENCE = text(
    f"SELECT setval(pg_get_serial_sequence('{KbChunk.__tablename__}', 'id'), coalesce(max(id), 0) + 1, false) "
    f"FROM {KbChunk.__tablename__}"
)
"""Inserting explicit ids does not advance PostgreSQL's sequence."""
_EARLIER_COLUMNS = {
    "seq": "sequence",
    "next_seq": "next_sequence",
    "to_seq": "to_sequence",
    "learned_seq": "learned_sequence",
    "shown": "listed_facts",
    "wished_role": "preferred_role",
    "wished_model": "preferred_model",
    "pardoned": "forgiven_runs",
    "verdict": "saved_reply",
    "stop": "cancel_requested",
    "recipe": "conversion_version",
}
"""Names of columns before the first migration."""
_EARLIER_KEYS = {
    "receipt": {
        "unasked": "role_without_override",
        "parts": "sub_answers",
        "wished_role": "requested_role",
        "wished_model": "requested_model",
        "thinking_why": "thinking_reason",
    },
    "payload": {"unreadable": "unsupported_media"},
    "saved_reply": {"tells_machine": "has_notice"},
    "settings": {"heard": "detected_language", "told_machine": "machine_notice_sent"},
}
"""Names of keys in JSON columns before the first migration."""
_EARLIER_CHECKS = {
    "repeats the tool's result": "contains the tool's result",
    "keeps to what was looked up": "has only numbers that were looked up",
}
"""Names of checks in receipts before the first migration."""
Line = tuple[str, dict[str, Any]]


async def write(database: Database, revision: str, opened: BinaryIO) -> int:
    """Write all rows as of one moment; return their number.

    The tables are read as they are in the database, so that a database of an earlier Qwendesk can be dumped as well.
    """
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
            async for row in _rows_of(connection, table):
                yield table.name, row


async def _rows_of(connection: AsyncConnection, table: Table) -> AsyncIterator[dict[str, Any]]:
    columns = [column for column in table.c if column.computed is None]
    statement = select(*columns).order_by(*table.primary_key.columns)
    async for row in await connection.stream(statement, execution_options={"yield_per": _BATCH_ROWS}):
        yield {name: _plain(value) for name, value in row._mapping.items()}


def _tables(connection: Connection) -> list[Table]:
    """Return Qwendesk's tables as they are in the database; referenced tables come first."""
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


def _lines(file: Path) -> Iterator[Any]:
    """Yield the header and then the rows.

    Raises:
        StoreError: the file is damaged or no dump.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as opened:
            for line in opened:
                yield json.loads(line)
    except (OSError, EOFError, ValueError) as error:
        raise StoreError(f"The backup {str(file)!r} is damaged or is none: {error}.") from None


def revision_of(file: Path) -> str:
    """Return the revision of a dump.

    Raises:
        StoreError: the file is damaged or no dump.
    """
    first = next(_lines(file), None)
    if not isinstance(first, dict) or first.get("qwendesk_backup") != FORMAT:
        raise StoreError(f"{str(file)!r} is not a backup that this Qwendesk can read.")
    return str(first["revision"])


def fill(connection: Connection, file: Path, revision: str) -> int:
    """Replace all rows by those of a dump in the caller's transaction; return their number."""
    from alembic import command

    config = upgrade.config(connection, quiet=True)
    is_earlier = revision in upgrade.EARLIER
    if upgrade.revision(connection) in upgrade.EARLIER:
        # Its tables have the names of the first migration, which can therefore drop them.
        command.stamp(config, upgrade.revisions()[0], purge=True)
    command.downgrade(config, "base")
    command.upgrade(config, upgrade.revisions()[0] if is_earlier else revision)
    tables = {table.name: table for table in _tables(connection)}
    for table in reversed(tables.values()):
        connection.execute(table.delete())
    count = 0
    rows = _lines(file)
    next(rows)
    for name, group in groupby(rows, key=lambda line: str(line[0])):
        typed = (_typed(tables[name], _renamed(row) if is_earlier else row) for _, row in group)
        while some := list(islice(typed, _BATCH_ROWS)):
            connection.execute(tables[name].insert(), some)
            count += len(some)
    command.upgrade(config, "head")
    if connection.dialect.name == "postgresql":
        connection.execute(_SET_SEQUENCE)
    return count


def _renamed(row: dict[str, Any]) -> dict[str, Any]:
    columns = {_EARLIER_COLUMNS.get(name, name): value for name, value in row.items()}
    for column, keys in _EARLIER_KEYS.items():
        if value := columns.get(column):
            columns[column] = {keys.get(key, key): item for key, item in value.items()}
    if receipt := columns.get("receipt"):
        for answer in (receipt, *receipt.get("sub_answers", ())):
            for check in answer.get("checks", ()):
                check["name"] = _EARLIER_CHECKS.get(check["name"], check["name"])
    return columns


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(table.c[name].type, value) for name, value in row.items()}


def _value(kind: Any, value: Any) -> Any:
    if isinstance(kind, DateTime) and value is not None:
        return datetime.fromisoformat(value)
    return base64.b64decode(value) if isinstance(kind, LargeBinary) and value is not None else value
