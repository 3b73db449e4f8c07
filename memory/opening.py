"""Getting a database ready: its folder, its journal, its revision."""

from __future__ import annotations

from pathlib import Path

from filelock import AsyncFileLock

from qwendesk.errors import StoreError
from qwendesk.memory.database import Database
from qwendesk.memory.database_errors import explained
from qwendesk.memory.migrations import upgrade

_PRIVATE = 0o600


async def prepare(database: Database) -> None:
    """Create or upgrade the database where needed.

    Raises:
        StoreError: it cannot be opened or written, is no database, or is newer than this program.
    """
    try:
        with explained(database.name, database.busy_timeout):
            await _prepare(database)
    except BaseException:
        await database.aclose()
        raise


async def _prepare(database: Database) -> None:
    if database.file:
        _make_writable(database.file)
    if await _is_ready(database):
        return
    if database.file is None:
        await upgrade.upgrade(database.engine)
        return
    # Two programs that switch an empty file to WAL at once would fail, so the second waits and then finds it ready.
    async with AsyncFileLock(database.file.with_name(database.file.name + ".lock"), timeout=60, mode=_PRIVATE):
        if not await _is_ready(database):
            await database.use_wal()
            await upgrade.upgrade(database.engine)


def _make_writable(file: Path) -> None:
    """Make sure of the file; new, it and its folder are for the owner's eyes only."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not file.exists():
        file.touch(mode=_PRIVATE)
    # Where SQLite cannot open the file, its thread would end untidily; asked here, the answer is an OSError.
    file.open("r+b").close()


async def _is_ready(database: Database) -> bool:
    revision = await upgrade.current(database.engine)
    if revision is not None and revision not in upgrade.known():
        raise StoreError(
            f"The database {database.name!r} was written by a newer Qwendesk (revision {revision}); "
            "upgrade qwendesk or set QWENDESK_HOME to another folder."
        )
    return revision == upgrade.head()
