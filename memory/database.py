"""The database: opening, an SQLAlchemy engine, and the units of work ``read`` and ``write``."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from filelock import AsyncFileLock
from sqlalchemy import Connection, event, func, make_url, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool

from qwendesk.errors import ConfigError, StoreError
from qwendesk.memory.database_errors import DISK_FULL, LASTING, FileWatch, drop_stale_connections, translate_errors
from qwendesk.memory.migrations import upgrade
from qwendesk.memory.tables.types import to_json
from qwendesk.redaction import redact
from qwendesk.settings import PRIVATE_FILE_MODE

T = TypeVar("T")
_FILE_CONNECTIONS = 5
"""Connections to a SQLite file; each one has a thread."""
_SERVER_CONNECTIONS = 10
_MIN_FREE_BYTES = 2 * 2**20
"""Free space on the disk below which a message with a file may not fit."""
_MAX_VACUUM_BYTES = 256 * 2**20
"""Size of a SQLite file that can be rewritten in about two seconds."""
_PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "secure_delete=ON",  # Deleted texts are overwritten in the file.
)
_READ_ONLY = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
_TOTAL_CHANGES = select(func.total_changes())
_LOCK_SECONDS = 60
"""Time limit of an upgrade by another process."""
EARLIER_ADVICE = (
    "is of an earlier Qwendesk, whose tables are different: write it to a file with 'qwendesk db dump FILE' "
    "and read the file with 'qwendesk db load FILE --force'"
)


class Database:
    """An engine with its pool and two units of work, ``read`` and ``write``; errors are raised as ``StoreError``.

    Args:
        url: SQLAlchemy's URL with an asynchronous driver.
        busy_timeout: seconds to wait for another process that writes to the SQLite file.
    """

    def __init__(self, url: str, busy_timeout: float) -> None:
        parsed = _parse(url)
        self.busy_timeout = busy_timeout
        self.file = _file_of(parsed)
        """The SQLite file; None for any other database."""
        self.name = str(self.file) if self.file else redact(parsed.render_as_string(hide_password=True))
        """The database's name in error messages."""
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        # A SQLite database in memory exists in one connection only.
        size = 1 if self.is_sqlite and not self.file else _FILE_CONNECTIONS if self.file else _SERVER_CONNECTIONS
        self.engine = _engine(parsed, size)
        snapshot = {"begin": "BEGIN"} if self.is_sqlite else _READ_ONLY
        self._reader = self.engine.execution_options(**snapshot)
        self._write_lock: asyncio.Lock | nullcontext[None] = asyncio.Lock() if self.is_sqlite else nullcontext()
        """SQLite allows one writer: this lock is fair, while SQLite itself would poll."""
        self._watch = FileWatch(self.file) if self.file else None
        self._failure: StoreError | None = None
        """Why the last write failed, if the cause lasts, such as a full disk."""
        self._shielded: set[asyncio.Task[Any]] = set()
        if self.is_sqlite:
            _tune(self.engine, busy_timeout)
        if self.file and self._watch:
            drop_stale_connections(self.engine.sync_engine, self.file)
            _count_connections(self.engine, self._watch)

    async def open(self) -> None:
        """Create or upgrade the tables where needed.

        Raises:
            StoreError: the database cannot be opened or written, is no Qwendesk database, or is of an earlier or a
                newer Qwendesk.
        """
        try:
            with translate_errors(self.name, self.busy_timeout):
                await self._open()
        except BaseException:
            await self.aclose()
            raise

    async def _open(self) -> None:
        if self.file:
            _make_writable(self.file)
        if await self._is_ready():
            return
        if self.file is None:
            await upgrade.upgrade(self.engine)
            return
        # Two processes cannot switch an empty file to WAL at the same time: the second waits and then finds it ready.
        lock = self.file.with_name(self.file.name + ".lock")
        async with AsyncFileLock(lock, timeout=_LOCK_SECONDS, mode=PRIVATE_FILE_MODE):
            if not await self._is_ready():
                await self.create_file()
                await upgrade.upgrade(self.engine)

    async def create_file(self) -> None:
        """Create the SQLite file where missing, for its owner only, and let it be read while it is written (WAL)."""
        if self.file:
            _make_writable(self.file)
            await self._run_alone("PRAGMA journal_mode=WAL")

    async def _is_ready(self) -> bool:
        revision = await upgrade.current(self.engine)
        if revision in upgrade.EARLIER:
            raise StoreError(f"The database {self.name!r} (revision {revision}) {EARLIER_ADVICE}.")
        if revision is not None and revision not in upgrade.revisions():
            raise StoreError(
                f"The database {self.name!r} was written by a newer Qwendesk (revision {revision}); "
                "upgrade qwendesk or set QWENDESK_HOME to another folder."
            )
        return revision == upgrade.head()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Open a read-only transaction whose statements see one committed state."""
        with translate_errors(self.name, self.busy_timeout):
            async with self._reader.connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that is committed at the end and rolled back on an error.

        On SQLite, the writers of this process wait for each other in order of arrival.
        """
        failure = self._failure if self.file else None
        with self._watched():
            async with self._write_lock, self.engine.begin() as connection:
                before = (await connection.execute(_TOTAL_CHANGES)).scalar_one() if failure else 0
                yield connection
                after = (await connection.execute(_TOTAL_CHANGES)).scalar_one() if failure else 0
        if after > before:
            self._failure = None

    async def check(self) -> None:
        """Check that messages can be stored.

        Raises:
            StoreError: the file was removed, the disk is full, or the last write failed for a lasting reason.
        """
        if not self.file or not self._watch:
            return
        with translate_errors(self.name, self.busy_timeout):
            await asyncio.to_thread(self._watch.check)
            free = (await asyncio.to_thread(shutil.disk_usage, self.file.parent)).free
        if free < _MIN_FREE_BYTES:
            raise StoreError(
                f"The disk of the database {self.name!r} is full ({free:,} bytes are free); free some space.",
                reason=DISK_FULL,
            )
        if self._failure:
            raise StoreError(str(self._failure), reason=self._failure.reason)

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """Check before and after a write that the SQLite file has not been removed or replaced."""
        try:
            with translate_errors(self.name, self.busy_timeout):
                if self._watch:
                    self._watch.check()
                yield
                if self._watch:
                    self._watch.check()
        except StoreError as error:
            self._failure = error if error.reason in LASTING else self._failure
            raise

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Complete a unit of work even if the caller is cancelled, so that its connection stays usable."""
        task = asyncio.create_task(work)
        self._shielded.add(task)
        task.add_done_callback(self._shielded.discard)
        return await asyncio.shield(task)

    def drop_statements(self) -> None:
        """Drop compiled statements, which contain values."""
        self.engine.clear_compiled_cache()

    async def vacuum(self, *, always: bool = False) -> None:
        """Remove deleted content from SQLite's file and journal, and free its space.

        Deleted rows are overwritten, but a page that was split may contain a copy, so the file is rewritten.

        Args:
            always: rewrite a large file as well; writers wait meanwhile.
        """
        if not self.file:
            return
        async with self._write_lock:
            if always or (await asyncio.to_thread(self.file.stat)).st_size <= _MAX_VACUUM_BYTES:
                await self._run_alone("VACUUM")
            await self._run_alone("PRAGMA wal_checkpoint(TRUNCATE)")

    async def _run_alone(self, statement: str) -> None:
        """Run a SQLite statement outside a transaction."""
        with translate_errors(self.name, self.busy_timeout):
            async with self.engine.execution_options(begin="").connect() as connection:
                await connection.exec_driver_sql(statement)

    async def aclose(self) -> None:
        """Wait for shielded work and the writer, then close all connections; the next use opens new ones."""
        await asyncio.gather(*self._shielded, return_exceptions=True)
        async with self._write_lock:
            await self.engine.dispose()
        if self._watch:
            self._watch.forget()


def upsert(dialect: str, table: type[Any]) -> sqlite.Insert | postgresql.Insert:
    """Return an INSERT that can have an ON CONFLICT clause.

    Args:
        dialect: the name of the SQL dialect, ``sqlite`` or ``postgresql``.
        table: the table's class.
    """
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def _make_writable(file: Path) -> None:
    """Create the folder and the file where missing, both readable by their owner only, and check access."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=PRIVATE_FILE_MODE)
    # Where SQLite cannot open the file, its thread ends with an error; opened here first, the result is an OSError.
    file.open("r+b").close()


def _parse(url: str) -> URL:
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


def _file_of(url: URL) -> Path | None:
    name = url.database or ":memory:"
    if url.get_backend_name() != "sqlite" or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


def _engine(url: URL, pool_size: int) -> AsyncEngine:
    # LIFO: the connection used last has the warmest caches.
    pool: dict[str, Any] = {"poolclass": AsyncAdaptedQueuePool, "max_overflow": 0, "pool_use_lifo": True}
    try:
        engine = create_async_engine(url, json_serializer=to_json, hide_parameters=True, pool_size=pool_size, **pool)
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


def _count_connections(engine: AsyncEngine, watch: FileWatch) -> None:
    @event.listens_for(engine.sync_engine, "connect")
    def opened(_: object, __: object) -> None:
        watch.opened()

    @event.listens_for(engine.sync_engine, "close")
    def closed(_: object, __: object) -> None:
        watch.closed()
