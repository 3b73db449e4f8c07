"""Convert database errors to ``StoreError`` with the database, the cause and the next step."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from qwendesk.errors import StoreError
from qwendesk.memory.file_watch import FileReplacedError

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


@contextmanager
def explained(name: str, timeout: float) -> Iterator[None]:
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
