"""PostgreSQL without SQLAlchemy around each statement: its ways through pool, greenlet and transaction take longer.

Connections stay open between two units of work, a transaction is begun and ended by the driver, and what SQLAlchemy
has to see each time is still run by it, on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from qwendesk.memory.prepared import Rows, prepared

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
_PATIENCE = 30.0
"""Seconds to wait for a connection that is free, as long as SQLAlchemy's pool does."""
_IDLE = 0
"""``psycopg.pq.TransactionStatus.IDLE``; psycopg is not installed everywhere."""


class ServerConnection:
    """Runs statements by psycopg; it offers what an ``AsyncConnection`` does, as far as that is needed."""

    def __init__(self, connection: AsyncConnection, driver: psycopg.AsyncConnection[Any]) -> None:
        self.driver = driver
        self.dialect: Dialect = connection.dialect
        self._connection = connection

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]] | Rows:
        """Run a statement."""
        if isinstance(parameters, Mapping) and (known := prepared(statement, self.dialect, tuple(parameters))):
            return await known.run_on_server(self.driver, parameters)
        return await self._connection.execute(statement, parameters)

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        """Do work that takes a blocking connection."""
        return await self._connection.run_sync(work, *args)

    async def commit(self) -> None:
        """End the transaction, if one has begun."""
        try:
            await self.driver.commit()
        except Exception as error:
            wrong: type[Exception] = self.dialect.dbapi.Error  # type: ignore[union-attr]
            raise DBAPIError.instance("COMMIT", None, error, wrong, hide_parameters=True) from error

    @property
    def is_whole(self) -> bool:
        """Whether it can be used again: alive, and outside a transaction."""
        is_alive = not self.driver.closed and not self._connection.invalidated
        return is_alive and self.driver.pgconn.transaction_status == _IDLE

    async def close(self) -> None:
        """Close it, whatever it was doing."""
        await self.driver.close()
        await self._connection.invalidate()
        await self._connection.close()


class Server:
    """Connections to PostgreSQL for short units of work.

    Args:
        engine: opens them; it must not pool them itself.
        size: how many there are at most.
    """

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self._engine = engine
        self._free = asyncio.Semaphore(size)
        self._idle: list[ServerConnection] = []
        """The one used last is the warm one."""

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ServerConnection]:
        """Give a connection on which each statement is a transaction by itself."""
        async with self._connection(autocommit=True) as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[ServerConnection]:
        """Give a connection inside a transaction, which begins on the way of its first statement."""
        async with self._connection(autocommit=False) as connection:
            try:
                yield connection
                await connection.commit()
            except BaseException:
                with suppress(Exception):  # what cannot be undone is closed, which undoes it
                    await connection.driver.rollback()
                raise

    async def close(self) -> None:
        """Close all that nobody has now; the next use opens them anew."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()

    @asynccontextmanager
    async def _connection(self, *, autocommit: bool) -> AsyncIterator[ServerConnection]:
        await self._enter()
        try:
            connection = self._idle.pop() if self._idle else await self._open()
            try:
                if connection.driver.autocommit != autocommit:
                    await connection.driver.set_autocommit(autocommit)
                yield connection
            finally:
                await self._put_back(connection)
        finally:
            self._free.release()

    async def _enter(self) -> None:
        if not self._free.locked():
            await self._free.acquire()  # without a timer, which costs more
            return
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._free.acquire()
        except TimeoutError as error:
            raise PoolTimeout(f"no connection was free for {_PATIENCE:g} s") from error

    async def _open(self) -> ServerConnection:
        connection = await self._engine.connect()
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        return ServerConnection(connection, driver)

    async def _put_back(self, connection: ServerConnection) -> None:
        if connection.is_whole:
            self._idle.append(connection)
            return
        was_lost = connection.driver.closed
        await connection.close()
        if was_lost:
            await self.close()  # a server that has gone has taken the others with it
