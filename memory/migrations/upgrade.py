"""Revisions of the database schema and upgrades between them."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from qwendesk.errors import StoreError

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS = Path(__file__).parent
EARLIER = frozenset({"0001", "0002", "0003", "0010", "0020", "0021", "0022", "0023", "0024"})
"""Revisions before the first migration; a database of one of them can be dumped and loaded, but not upgraded."""


@cache
def revisions() -> tuple[str, ...]:
    """Return all revisions, oldest first; a migration's file is named after its revision."""
    return tuple(sorted(file.stem for file in (SCRIPTS / "versions").glob("[0-9]*.py")))


def head() -> str:
    """Return the revision that this program needs."""
    return revisions()[-1]


async def current(engine: AsyncEngine) -> str | None:
    """Return the database's revision; None without tables."""
    async with engine.execution_options(begin="BEGIN").connect() as connection:
        return await connection.run_sync(revision)


async def upgrade(engine: AsyncEngine, to: str = "head") -> None:
    """Upgrade the database to a revision in one transaction."""
    async with transaction(engine) as connection:
        await connection.run_sync(_upgrade, to)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a transaction in which tables may be created, dropped and rewritten."""
    async with engine.connect() as connection, _without_reference_checks(connection), connection.begin():
        yield connection
        await connection.run_sync(_check_references)


@asynccontextmanager
async def _without_reference_checks(connection: AsyncConnection) -> AsyncIterator[None]:
    """Switch off SQLite's foreign keys: dropping a table would delete the rows that refer to it."""
    if connection.dialect.name != "sqlite":
        yield
        return
    await _outside_transaction(connection, "PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        await _outside_transaction(connection, "PRAGMA foreign_keys=ON")


async def _outside_transaction(connection: AsyncConnection, statement: str) -> None:
    """Run a statement that SQLite ignores inside a transaction."""
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.execute(statement)


def config(connection: Connection | None = None, url: str | None = None, *, quiet: bool = False) -> Config:
    """Return Alembic's configuration for a connection, or for a URL to write SQL for.

    Alembic is imported here because its import takes a third of a second and most starts do not need it.

    Args:
        connection: the connection to upgrade.
        url: the database to write SQL for.
        quiet: print nothing.
    """
    from alembic.config import Config

    made = Config(attributes={"connection": connection}, stdout=StringIO() if quiet else sys.stdout)
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    if url:
        made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def revision(connection: Connection) -> str | None:
    """Return the database's revision; None without tables."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, to: str) -> None:
    from alembic import command

    if connection.dialect.name == "postgresql":
        # Of two programs that start at the same time, the second waits here and then has nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('qwendesk-upgrade', 0))"))
    command.upgrade(config(connection), to)


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise StoreError("Rows would refer to rows that do not exist, so nothing was changed.")
