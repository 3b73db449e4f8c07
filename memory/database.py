"""The connection to the database: SQLite tuned for a desk, PostgreSQL as it is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, NullPool

from qwendesk.errors import ConfigError, StoreError
from qwendesk.memory.direct import PRAGMAS, Direct, DirectConnection
from qwendesk.memory.failures import DISK_FULL, LASTING, explained
from qwendesk.memory.file_watch import FileWatch
from qwendesk.memory.postgres import Server, ServerConnection
from qwendesk.memory.turnstile import Turnstile
from qwendesk.memory.types import to_json
from qwendesk.redaction import redact

T = TypeVar("T")
BriefConnection = AsyncConnection | DirectConnection | ServerConnection
_CONNECTIONS = 5
"""To a server, for what takes longer and for short statements, each."""
_LEAST_FREE = 2 * 2**20
"""Bytes that have to be free on the disk; with less, a message with a file may not fit."""
_QUICKLY_REWRITTEN = 256 * 2**20
"""Bytes of a SQLite file that is written anew in a second or two."""


class Database:
    """An engine and its two units of work, ``read`` and ``write``; errors come out as ``StoreError``."""

    def __init__(self, url: str, busy_timeout: float) -> None:
        parsed = _parse(url)
        self.busy_timeout = busy_timeout
        self.file = _file_of(parsed)
        """The SQLite file; None for any other database."""
        self.name = str(self.file) if self.file else redact(parsed.render_as_string(hide_password=True))
        """What an error calls the database."""
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # A SQLite database in memory lives in its one connection; a file needs few.
        size = 1 if self.is_sqlite and not self.file else _CONNECTIONS
        # LIFO: the connection used last is the warm one
        pool = {"pool_size": size, "max_overflow": 0, "pool_use_lifo": True}
        self.engine = _engine(parsed, poolclass=AsyncAdaptedQueuePool, **pool)
        if self.is_sqlite:
            _tune(self.engine, busy_timeout)
        # Without BEGIN and ROLLBACK around it, a single statement is one trip to a server instead of three.
        alone = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reader = self.engine.execution_options(reads_only=True, **alone)
        self._together = self.engine.execution_options(reads_only=True)
        self._turnstile = Turnstile() if self.is_sqlite else None
        self._direct = Direct(parsed, busy_timeout) if self.file else None
        self._watch = FileWatch(self.file) if self.file else None
        self._trouble: StoreError | None = None
        """Why nothing could be written the last time; None: it could."""
        is_served = self.engine.dialect.driver == "psycopg"
        self._server = Server(_engine(parsed, poolclass=NullPool), _CONNECTIONS) if is_served else None
        self._working: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def read(self, *, together: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection to read by.

        Args:
            together: let all statements be one transaction, so that what one sets for it holds for the next.
        """
        with explained(self.name, self.busy_timeout):
            async with (self._together if together else self._reader).connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self, *, hurry: bool = False) -> AsyncIterator[AsyncConnection]:
        """Give a connection inside a transaction, which is committed unless an error comes through.

        Args:
            hurry: go before what others want to write, where only one can write at a time.
        """
        with self._writing():
            async with self._turn(hurry), self.engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read_briefly(self) -> AsyncIterator[BriefConnection]:
        """Give a connection to read by, for statements that take no time worth speaking of."""
        if self._direct:
            with explained(self.name, self.busy_timeout):
                yield self._direct.reader()
        elif self._server:
            with explained(self.name, self.busy_timeout):
                async with self._server.read() as served:
                    yield served
        else:
            async with self.read() as connection:
                yield connection

    @asynccontextmanager
    async def write_briefly(self, *, hurry: bool = False, single: bool = False) -> AsyncIterator[BriefConnection]:
        """Give a connection inside a transaction, for statements that take no time worth speaking of.

        Args:
            hurry: go before what others want to write, where only one can write at a time.
            single: there is one statement alone, which a server makes a transaction by itself.
        """
        with self._writing():
            async with self._turn(hurry), self._brief(single) as connection:
                yield connection

    async def check(self) -> None:
        """See whether messages can be kept.

        Raises:
            StoreError: the file was removed, the disk is full, or nothing could be written the last time.
        """
        if not self.file or not self._watch:
            return
        with explained(self.name, self.busy_timeout):
            await asyncio.to_thread(self._watch.check)
            free = (await asyncio.to_thread(shutil.disk_usage, self.file.parent)).free
        if free < _LEAST_FREE:
            raise StoreError(
                f"The disk of the database {self.name!r} is full ({free:,} bytes are free); free some space.",
                reason=DISK_FULL,
            )
        if self._trouble:
            raise StoreError(str(self._trouble), reason=self._trouble.reason)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Make sure that what is written lies in the file that is there, before and after."""
        before = self._direct.changes if self._direct else 0
        try:
            with explained(self.name, self.busy_timeout):
                self._check_file()
                yield
                self._check_file()
        except StoreError as error:
            self._trouble = error if error.reason in LASTING else self._trouble
            raise
        if self._direct and self._direct.changes != before:
            self._trouble = None

    def _check_file(self) -> None:
        if self._watch:
            # the journal stays as long as a connection does, and this one does to the end
            self._watch.note(journal=bool(self._direct and self._direct.is_writing))
            self._watch.check()

    def _brief(self, single: bool) -> AbstractAsyncContextManager[BriefConnection]:
        if self._direct:
            return self._direct.write()
        if self._server:
            return self._server.read() if single else self._server.write()
        return self.engine.begin()

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """Do a unit of work to its end even where the caller is cancelled, so that no connection is torn."""
        task = asyncio.create_task(work)
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return await asyncio.shield(task)

    def drop_statements(self) -> None:
        """Drop compiled statements, which keep the values that they were written with."""
        self.engine.clear_compiled_cache()
        if self._direct:
            self._direct.drop_statements()

    async def settle(self, *, always: bool = False) -> None:
        """Let what was deleted be gone from SQLite's file and journal, and give its space back.

        A deleted row is overwritten, but a copy may have stayed behind where a page was split; so the file is written
        anew, unless it is so large that others would wait for long (``always``: then too).
        """
        if not self.file:
            return
        async with self._turn(), self.read() as connection:
            if always or (await asyncio.to_thread(self.file.stat)).st_size <= _QUICKLY_REWRITTEN:
                await connection.exec_driver_sql("VACUUM")
            await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def _turn(self, hurry: bool = False) -> AbstractAsyncContextManager[None]:
        return self._turnstile.through(hurry=hurry) if self._turnstile else nullcontext()

    async def aclose(self) -> None:
        """Let the work end and close all connections."""
        await asyncio.gather(*self._working, return_exceptions=True)
        if self._direct:
            async with self._turn():
                self._direct.close()
        if self._watch:
            self._watch.forget()
        if self._server:
            await self._server.close()
        await self.engine.dispose()


def _parse(url: str) -> URL:
    """Return a URL's parts; of one that cannot be read only the scheme is shown, as the rest may be the password.

    Raises:
        ConfigError: it cannot be read.
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
            "The password in the database URL (QWENDESK_DATABASE_URL) holds a sign that ends it: "
            "write %40 for @, %3A for : and %2F for / in it."
        )
    return parsed


def _file_of(url: URL) -> Path | None:
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def _engine(url: URL, **pool: Any) -> AsyncEngine:
    try:
        engine = create_async_engine(url, json_serializer=to_json, hide_parameters=True, **pool)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"The driver of {url.drivername!r} is not installed; for PostgreSQL: pip install 'qwendesk[postgres]'."
        ) from error
    except (ArgumentError, InvalidRequestError) as error:
        raise ConfigError(
            f"No asynchronous driver for {url.drivername!r}; use 'sqlite+aiosqlite' or 'postgresql+psycopg'."
        ) from error
    if url.get_backend_name() == "postgresql":
        _plan_for_ssd(engine)
    return engine


def _plan_for_ssd(engine: AsyncEngine) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # PostgreSQL's default is a disk that turns: it would read and sort all facts of a person for the newest few
        cursor = connection.cursor()
        cursor.execute("SET random_page_cost = 1.1")
        cursor.close()
        connection.commit()


def _tune(engine: AsyncEngine, busy_timeout: float) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, not where sqlite3 guesses
        cursor = connection.cursor()
        for pragma in (*PRAGMAS, f"busy_timeout={int(busy_timeout * 1000)}"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        # IMMEDIATE: a transaction that first reads and then writes would fail at once where another one writes.
        if not connection.get_execution_options().get("reads_only"):
            connection.exec_driver_sql("BEGIN IMMEDIATE")
