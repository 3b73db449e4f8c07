"""SQLite without threads for short statements: one takes less time than handing it to a thread and back does.

What may wait is handed over all the same: the beginning of a transaction while another program writes, and the
journal's way into the file, which waits for the disk. In between, this program holds the database; nothing can keep a
statement waiting, and the end of a transaction is a copy into the system's memory.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import Connection, Dialect, create_engine
from sqlalchemy.engine import URL, CursorResult
from sqlalchemy.pool import NullPool
from sqlalchemy.sql.base import Executable

from qwendesk.memory.prepared import Rows, prepared
from qwendesk.memory.types import to_json

T = TypeVar("T")
log = logging.getLogger(__name__)
PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "secure_delete=ON",  # who asks to be forgotten is not found in the file's empty places
)
"""What every connection to a SQLite file is told."""
_NO_PATIENCE = "busy_timeout=0"
_MOVED_EVERY = 200
"""Transactions after which the journal is moved into the file: one or two thousand pages of it."""


class _Cursor(sqlite3.Cursor):
    """Reads all rows at once: one that stays open holds the database as it was, and no transaction can end."""

    _rows: Iterator[Any] = iter(())

    def execute(self, *arguments: Any) -> _Cursor:
        super().execute(*arguments)
        self._rows = iter(super().fetchall())
        return self

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return list(islice(self._rows, size or self.arraysize))

    def fetchall(self) -> list[Any]:
        return list(self._rows)


class _Driver(sqlite3.Connection):
    def cursor(self, factory: Any = _Cursor) -> Any:
        return super().cursor(factory)


class DirectConnection:
    """Runs statements where it is called; it offers what an ``AsyncConnection`` does, as far as that is needed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._driver = _driver(connection)
        self.dialect: Dialect = connection.dialect

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]] | Rows:
        """Run a statement."""
        if isinstance(parameters, Mapping) and (known := prepared(statement, self.dialect, tuple(parameters))):
            return known.run(self._driver, parameters)
        return self._connection.execute(statement, parameters)

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        """Do work that takes a blocking connection."""
        return work(self._connection, *args)


class Direct:
    """Two connections to a SQLite file: one writes, one reads what was committed.

    Args:
        url: the database.
        busy_timeout: seconds to wait for another program that writes.
    """

    def __init__(self, url: URL, busy_timeout: float) -> None:
        self._engine = create_engine(
            url.set(drivername="sqlite"),
            poolclass=NullPool,
            isolation_level="AUTOCOMMIT",  # transactions begin and end here, not where sqlite3 guesses
            connect_args={"check_same_thread": False, "factory": _Driver},
            json_serializer=to_json,
            hide_parameters=True,
        )
        self._patience = f"busy_timeout={int(busy_timeout * 1000)}"
        self._reader: Connection | None = None
        self._writer: Connection | None = None
        self._unmoved = 0
        """Transactions in the journal."""

    def drop_statements(self) -> None:
        """Drop compiled statements, which keep the values that they were written with."""
        self._engine.clear_compiled_cache()

    def reader(self) -> DirectConnection:
        """Return the connection to read by; between two of its statements others may write."""
        self._reader = self._whole(self._reader) or self._connect(self._patience)
        return DirectConnection(self._reader)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[DirectConnection]:
        """Give the connection that writes, inside a transaction; nobody else may have it meanwhile."""
        self._writer = writer = self._whole(self._writer) or self._connect(_NO_PATIENCE, "wal_autocheckpoint=0")
        driver = _driver(writer)
        try:
            await self._begin(driver)
            yield DirectConnection(writer)
            driver.commit()
        except BaseException:
            if not writer.invalidated and driver.in_transaction:
                driver.rollback()
            raise
        self._unmoved += 1
        if self._unmoved >= _MOVED_EVERY:
            await _to_its_end(self._move_journal, driver)

    @property
    def is_writing(self) -> bool:
        """Whether the connection that writes is open."""
        return self._writer is not None and not self._writer.invalidated

    @property
    def changes(self) -> int:
        """The rows that were changed by the connection that writes."""
        writer = self._writer
        return _driver(writer).total_changes if writer is not None and not writer.invalidated else 0

    def close(self) -> None:
        """Close both, which nobody may have now; the next use opens them anew."""
        for connection in filter(None, (self._reader, self._writer)):
            connection.close()
        self._reader = self._writer = None

    def _connect(self, *pragmas: str) -> Connection:
        connection = self._engine.connect()
        for pragma in (*PRAGMAS, *pragmas):
            _driver(connection).execute(f"PRAGMA {pragma}")
        return connection

    @staticmethod
    def _whole(connection: Connection | None) -> Connection | None:
        """Return a connection that can be used; an interrupt in the middle of a statement ends it."""
        if connection is None or not connection.invalidated:
            return connection
        connection.close()
        return None

    async def _begin(self, driver: sqlite3.Connection) -> None:
        try:
            driver.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            await _to_its_end(self._wait_and_begin, driver)

    def _wait_and_begin(self, driver: sqlite3.Connection) -> None:
        driver.execute(f"PRAGMA {self._patience}")
        try:
            driver.execute("BEGIN IMMEDIATE")
        finally:
            driver.execute(f"PRAGMA {_NO_PATIENCE}")

    def _move_journal(self, driver: sqlite3.Connection) -> None:
        """Move it into the file; what fails, such as for a full disk, is tried again after the next transaction."""
        try:
            driver.execute("PRAGMA wal_checkpoint(PASSIVE)")
            # the first that is written behind it waits for the disk as well: something that changes nothing
            (version,) = driver.execute("PRAGMA user_version").fetchone()
            driver.execute(f"PRAGMA user_version={version}")
        except sqlite3.Error as error:
            log.info("The journal stays as it is: %s.", error)
        else:
            self._unmoved = 0


def _driver(connection: Connection) -> sqlite3.Connection:
    driver: Any = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


async def _to_its_end(work: Callable[[sqlite3.Connection], None], driver: sqlite3.Connection) -> None:
    """Work in a thread; whoever is cancelled meanwhile still waits for it, as the connection is not free before."""
    task = asyncio.ensure_future(asyncio.to_thread(work, driver))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as again:
            cancelled = again
    failed = task.exception()
    if error := cancelled or failed:
        raise error
