"""Migrations: which revision a database has, which one this program needs, and the way there."""

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


@cache
def known() -> tuple[str, ...]:
    """Return all revisions, oldest first; each one's file is named ``<revision>_<what it does>.py``."""
    return tuple(sorted(file.stem.partition("_")[0] for file in (SCRIPTS / "versions").glob("[0-9]*.py")))


def head() -> str:
    """Return the revision this program needs."""
    return known()[-1]


async def current(engine: AsyncEngine) -> str | None:
    """Return the database's revision; None where it has no tables yet."""
    async with engine.execution_options(begin="BEGIN").connect() as connection:
        return await connection.run_sync(_revision)


async def upgrade(engine: AsyncEngine, to: str = "head") -> None:
    """Bring the database to ``head()``, all in one transaction; what is there already is left alone."""
    async with transaction(engine) as connection:
        await connection.run_sync(_upgrade, to)


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Give a connection on which tables may be written anew; all of it happens or nothing."""
    async with engine.connect() as connection, _loose_references(connection), connection.begin():
        yield connection
        await connection.run_sync(_check_references)


@asynccontextmanager
async def _loose_references(connection: AsyncConnection) -> AsyncIterator[None]:
    """Keep SQLite from emptying the tables that refer to one that is written anew; they are checked at the end."""
    if connection.dialect.name != "sqlite":
        yield
        return
    await _outside_transaction(connection, "PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        await _outside_transaction(connection, "PRAGMA foreign_keys=ON")


async def _outside_transaction(connection: AsyncConnection, statement: str) -> None:
    """Run a statement that SQLite takes no notice of inside a transaction."""
    raw = await connection.get_raw_connection()
    driver: Any = raw.driver_connection
    await driver.execute(statement)


def config(connection: Connection | None = None, url: str | None = None, *, quiet: bool = False) -> Config:
    """Return Alembic's configuration for a connection, or for a URL to write SQL for; ``quiet``: nothing is printed.

    Alembic is imported here, not above: it takes a third of a second, and a database is rarely upgraded.
    """
    from alembic.config import Config

    made = Config(attributes={"connection": connection}, stdout=StringIO() if quiet else sys.stdout)
    made.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    made.set_main_option("path_separator", "os")
    if url:
        made.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return made


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: Connection, to: str) -> None:
    from alembic import command

    if connection.dialect.name == "postgresql":
        # Two programs that start at once: the second waits here and then finds nothing to do.
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended('qwendesk-upgrade', 0))"))
    command.upgrade(config(connection), to)


def _check_references(connection: Connection) -> None:
    if connection.dialect.name == "sqlite" and connection.execute(text("PRAGMA foreign_key_check")).first():
        raise StoreError("References between tables would be broken, so nothing was changed.")
