"""Errors of the database: a SQLite file that was removed or replaced, and drivers' errors as ``StoreError``."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from qwendesk.errors import StoreError

DISK_FULL = "the disk is full"
_ADVICE = {
    "SQLITE_BUSY": "is locked by another program (waited {timeout:g} s); close that program and try again",
    "SQLITE_LOCKED": "is locked by another program (waited {timeout:g} s); close that program and try again",
    "SQLITE_FULL": "cannot grow, the disk is full; free some space and try again",
    "SQLITE_READONLY": "may not be written; make file and folder writable or set QWENDESK_HOME to another folder",
    "SQLITE_CANTOPEN": "cannot be opened; make its folder writable or set QWENDESK_HOME to another folder",
    "SQLITE_PERM": "cannot be opened; make its folder writable or set QWENDESK_HOME to another folder",
    "SQLITE_NOTADB": "is not a Qwendesk database; move the file away or set QWENDESK_HOME to another folder",
    "SQLITE_CORRUPT": "is damaged; put a backup in its place or move the file away to start afresh",
    "SQLITE_IOERR": "cannot be read or written, the disk reports an error; check the disk and its free space",
}
_GENERAL = {
    "SQLITE_BUSY": "the database is locked by another program",
    "SQLITE_LOCKED": "the database is locked by another program",
    "SQLITE_FULL": DISK_FULL,
    "SQLITE_READONLY": "the database may not be written",
    "SQLITE_CANTOPEN": "the database cannot be opened",
    "SQLITE_PERM": "the database cannot be opened",
    "SQLITE_NOTADB": "the database is damaged",
    "SQLITE_CORRUPT": "the database is damaged",
    "SQLITE_IOERR": "the disk reports an error",
}
"""The causes without names, for people who do not operate the desk."""
LASTING = frozenset({DISK_FULL, _GENERAL["SQLITE_READONLY"], _GENERAL["SQLITE_IOERR"], _GENERAL["SQLITE_CORRUPT"]})
"""Causes that last until an operator removes them."""
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ABOUT_A_VALUE = "22"
"""PostgreSQL's class of errors that quote a value."""
Identity = tuple[int, int]
"""Device and inode."""


@contextmanager
def translate_errors(name: str, timeout: float) -> Iterator[None]:
    """Convert errors of the database ``name`` to ``StoreError``."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"The database {name!r} {_reason(error, timeout)}.", reason=_general(error)) from error


def _cause(error: Exception) -> tuple[BaseException, str]:
    """Return the driver's error and its name in SQLite."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    # Extended codes, such as SQLITE_READONLY_DIRECTORY, begin with the primary one.
    return cause, "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])


def _general(error: Exception) -> str:
    cause, code = _cause(error)
    if isinstance(cause, FileReplacedError):
        return "the database was removed"
    if isinstance(cause, OSError):
        return DISK_FULL if cause.errno in _NO_SPACE else "the database cannot be opened"
    return _GENERAL.get(code, "the database cannot be used")


def _reason(error: Exception, timeout: float) -> str:
    cause, code = _cause(error)
    if code in _ADVICE:
        return _ADVICE[code].format(timeout=timeout)
    if isinstance(cause, FileReplacedError):
        return "was removed or replaced while it was open; put the same file back, or restart the desk"
    if isinstance(cause, OSError):
        return f"cannot be opened ({cause.strerror or cause}); set QWENDESK_HOME to a folder that can be written"
    return f"failed: {_message(cause).strip().rstrip('.')}; try again, and see 'qwendesk doctor' if it stays so"


def _message(cause: BaseException) -> str:
    """Return the driver's message; SQLAlchemy's and most of PostgreSQL's details may quote a person's text."""
    message = getattr(getattr(cause, "diag", None), "message_primary", None)
    if message and str(getattr(cause, "sqlstate", "")).startswith(_ABOUT_A_VALUE):
        return type(cause).__name__
    return message or str(cause)


class FileReplacedError(OSError):
    """The file or its journal was removed or replaced while it was open."""

    def __init__(self, file: Path) -> None:
        super().__init__(errno.ENOENT, "was removed or replaced while it was open", str(file))


class FileWatch:
    """Compares the identity of the database file and its journal with the open ones.

    Args:
        file: the database file; its journal is in the same folder.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._journal = file.with_name(f"{file.name}-wal")
        self._noted: dict[Path, Identity] = {}
        self._connections = 0

    def attach(self, engine: Engine) -> None:
        """Count the connections of an engine, and refuse new ones while another file, or none, is in the file's place.

        SQLite would create a missing file, and a connection to an empty file deletes the journal that it finds beside
        it. Open connections go on with the file that they have.
        """

        @event.listens_for(engine, "do_connect")
        def compare(*_: object) -> None:
            found = _identity(self._file)
            if found and self._noted.setdefault(self._file, found) == found:
                return
            if self._file in self._noted:
                raise sqlite3.OperationalError("unable to open database file: it was removed or replaced")

        @event.listens_for(engine, "connect")
        def opened(*_: object) -> None:
            self._connections += 1

        @event.listens_for(engine, "close")
        def closed(*_: object) -> None:
            self._connections -= 1
            if not self._connections:  # SQLite removes the journal with the last one
                self._noted.pop(self._journal, None)

        @event.listens_for(engine, "engine_disposed")
        def forget(_: object) -> None:
            self._noted.clear()

    def check(self) -> None:
        """Store the identity of new files and compare that of known ones.

        Raises:
            FileReplacedError: a file was removed or replaced.
        """
        for file in (self._file, self._journal) if self._connections else (self._file,):
            if file not in self._noted and (found := _identity(file)):
                self._noted[file] = found
        for file, noted in self._noted.items():
            if _identity(file) != noted:
                raise FileReplacedError(file)


def _identity(file: Path) -> Identity | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
