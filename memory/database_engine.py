"""SQLAlchemy engines for SQLite and PostgreSQL, with their pools and the settings of each connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from qwendesk.errors import ConfigError
from qwendesk.memory.database_errors import FileWatch
from qwendesk.memory.tables.types import to_json

_FILE_CONNECTIONS = 5
"""Connections to a SQLite file; each one has a thread."""
_SERVER_CONNECTIONS = 10
_PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "secure_delete=ON",  # Deleted texts are overwritten in the file.
)


def parse_url(url: str) -> URL:
    """Parse a URL; an error shows the scheme only, since the rest may contain the password.

    Raises:
        ConfigError: the URL is malformed.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        scheme = url.partition(":")[0]
        named = f" (scheme {scheme!r})" if scheme.isalpha() and scheme.isascii() else ""
        raise ConfigError(
            f"The database URL{named} of QWENDESK_DATABASE_URL cannot be read; write it like "
            "'sqlite+aiosqlite:////folder/qwendesk.db' or 'postgresql+psycopg://HOST/NAME'."
        ) from None
    if "@" in (parsed.host or ""):
        raise ConfigError(
            "The password in the database URL (QWENDESK_DATABASE_URL) contains a character that ends it: "
            "write %40 for @, %3A for : and %2F for / in it."
        )
    return parsed


def file_of(url: URL) -> Path | None:
    """Return the SQLite file of a URL; None for any other database."""
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def create_engine(url: URL, busy_timeout: float, watch: FileWatch | None) -> AsyncEngine:
    """Return an engine with its pool.

    Args:
        url: the parsed URL.
        busy_timeout: seconds to wait for another process that writes to the SQLite file.
        watch: watches the SQLite file; None for any other database.

    Raises:
        ConfigError: the driver is not installed or not asynchronous.
    """
    is_sqlite, file = url.get_backend_name() == "sqlite", file_of(url)
    # A SQLite database in memory exists in one connection only.
    size = 1 if is_sqlite and not file else _FILE_CONNECTIONS if file else _SERVER_CONNECTIONS
    engine = _pooled(url, size)
    if is_sqlite:
        _tune(engine, busy_timeout)
    elif url.get_backend_name() == "postgresql":
        _plan_for_ssd(engine)
    if watch:
        watch.attach(engine.sync_engine)
    return engine


def _pooled(url: URL, pool_size: int) -> AsyncEngine:
    # LIFO: the connection used last has the warmest caches.
    pool: dict[str, Any] = {"poolclass": AsyncAdaptedQueuePool, "max_overflow": 0, "pool_use_lifo": True}
    try:
        return create_async_engine(url, json_serializer=to_json, hide_parameters=True, pool_size=pool_size, **pool)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The driver of {url.drivername!r} is not installed; for PostgreSQL: pip install 'qwendesk[postgres]'."
        ) from error
    except (ArgumentError, InvalidRequestError) as error:
        raise ConfigError(
            f"No asynchronous driver for {url.drivername!r}; use 'sqlite+aiosqlite' or 'postgresql+psycopg'."
        ) from error


def _plan_for_ssd(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # PostgreSQL's default is for rotating disks: it would sort all facts of a person to find the newest few.
        cursor = connection.cursor()
        cursor.execute("SET random_page_cost = 1.1")
        cursor.close()
        connection.commit()


def _tune(engine: AsyncEngine, busy_timeout: float) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # The listener below begins transactions, not the driver.
        cursor = connection.cursor()
        for pragma in (*_PRAGMAS, f"busy_timeout={int(busy_timeout * 1000)}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that reads first would fail at its first write while another one writes.
        if statement := connection.get_execution_options().get("begin", "BEGIN IMMEDIATE"):
            connection.exec_driver_sql(statement)
