"""The database: opening, and the units of work ``read`` and ``write``."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeVar

from filelock import AsyncFileLock
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.errors import StoreError
from qwendesk.memory.database_engine import create_engine, file_of, parse_url
from qwendesk.memory.database_errors import DISK_FULL, LASTING, FileWatch, translate_errors
from qwendesk.memory.migrations import upgrade
from qwendesk.redaction import redact
from qwendesk.settings import PRIVATE_FILE_MODE

T = TypeVar("T")
_MIN_FREE_BYTES = 2 * 2**20
"""Free space on the disk below which a message with a file may not fit."""
_MAX_VACUUM_BYTES = 256 * 2**20
"""Size of a SQLite file that can be rewritten in about two seconds."""
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
        parsed = parse_url(url)
        self.busy_timeout = busy_timeout
        self.file = file_of(parsed)
        """The SQLite file; None for any other database."""
        self.name = str(self.file) if self.file else redact(parsed.render_as_string(hide_password=True))
        """The database's name in error messages."""
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        self._watch = FileWatch(self.file) if self.file else None
        self.engine = create_engine(parsed, busy_timeout, self._watch)
        snapshot = {"begin": "BEGIN"} if self.is_sqlite else _READ_ONLY
        self._reader = self.engine.execution_options(**snapshot)
        self._write_lock: asyncio.Lock | nullcontext[None] = asyncio.Lock() if self.is_sqlite else nullcontext()
        """SQLite allows one writer: this lock is fair, while SQLite itself would poll."""
        self._failure: StoreError | None = None
        """Why the last write failed, if the cause lasts, such as a full disk."""
        self._shielded: set[asyncio.Task[Any]] = set()

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
