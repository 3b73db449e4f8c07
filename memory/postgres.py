"""PostgreSQL without SQLAlchemy around each statement: its ways through pool, greenlet and transaction take longer.

Connections stay open between two units of work, a transaction is begun and ended by the driver, and what SQLAlchemy
has to see each time is still run by it, on the same connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Dialect
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.sql.base import Executable

from qwendesk.memory.prepared import Rows, as_sqlalchemy, prepared

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
_PATIENCE = 30.0
"""Seconds to wait for a connection that is free, as long as SQLAlchemy's pool does."""
_IDLE = 0
"""``psycopg.pq.TransactionStatus.IDLE``; psycopg is not installed everywhere."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A connection that stays open, to SQLAlchemy and to the driver."""

    connection: AsyncConnection
    driver: psycopg.AsyncConnection[Any]
    epoch: int
    """How often the server had been lost when it was opened."""

    async def commit(self) -> None:
        try:
            await self.driver.commit()
        except Exception as error:
            raise as_sqlalchemy(error, "COMMIT", self.connection.dialect) from error

    @property
    def is_whole(self) -> bool:
        return not self.driver.closed and self.driver.pgconn.transaction_status == _IDLE

    async def close(self) -> None:
        """Close it, whatever it was doing."""
        await self.connection.invalidate()
        await self.connection.close()


class ServerConnection:
    """Runs statements by psycopg; it offers what an ``AsyncConnection`` does, as far as that is needed."""

    def __init__(self, connection: AsyncConnection, driver: psycopg.AsyncConnection[Any]) -> None:
        self.dialect: Dialect = connection.dialect
        self._connection = connection
        self._driver = driver

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[*tuple[Any, ...]] | Rows:
        """Run a statement."""
        if isinstance(parameters, Mapping) and (known := prepared(statement, self.dialect, tuple(parameters))):
            return await known.run_on_server(self._driver, parameters)
        return await self._connection.execute(statement, parameters)

    async def run_sync(self, work: Callable[..., T], *args: Any) -> T:
        """Do work that takes a blocking connection; whether that is in a transaction, it cannot tell rightly."""
        return await self._connection.run_sync(work, *args)


class Server:
    """Connections to PostgreSQL for short units of work.

    Args:
        engine: opens them; it must not pool them itself.
        size: how many there are at most.
    """

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        self._engine = engine
        self._free = asyncio.Semaphore(size)
        self._idle: list[_Kept] = []
        """The one used last is the warm one."""
        self._epoch = 0
        """How often the server was lost: whatever was opened before has gone with it."""

    @asynccontextmanager
    async def read(self) -> AsyncIterator[ServerConnection]:
        """Give a connection on which each statement is a transaction by itself."""
        async with self._kept(autocommit=True) as kept:
            yield ServerConnection(kept.connection, kept.driver)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[ServerConnection]:
        """Give a connection inside a transaction, which begins on the way of its first statement."""
        async with self._kept(autocommit=False) as kept:
            try:
                yield ServerConnection(kept.connection, kept.driver)
                await kept.commit()
            except BaseException:
                with suppress(Exception):  # what cannot be undone is closed, which undoes it
                    await kept.driver.rollback()
                raise

    async def close(self) -> None:
        """Close all, those in use when they come back; the next use opens new ones."""
        self._epoch += 1
        idle, self._idle = self._idle, []
        for kept in idle:
            await kept.close()

    @asynccontextmanager
    async def _kept(self, *, autocommit: bool) -> AsyncIterator[_Kept]:
        await self._enter()
        try:
            kept = self._idle.pop() if self._idle else await self._open()
            try:
                if kept.driver.autocommit != autocommit:
                    await kept.driver.set_autocommit(autocommit)
                yield kept
            finally:
                await self._put_back(kept)
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

    async def _open(self) -> _Kept:
        epoch = self._epoch
        connection = await self._engine.connect()
        raw = await connection.get_raw_connection()
        driver: Any = raw.driver_connection
        return _Kept(connection, driver, epoch)

    async def _put_back(self, kept: _Kept) -> None:
        if kept.driver.broken and kept.epoch == self._epoch:
            await self.close()  # a server that has gone has taken the others with it
        if kept.is_whole and kept.epoch == self._epoch:
            self._idle.append(kept)
        else:
            await kept.close()
