"""Database errors as ``StoreError``: which database, what happened, what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from qwendesk.errors import StoreError

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

_ABOUT_A_VALUE = "22"
"""PostgreSQL's class of errors whose text quotes the value."""


@contextmanager
def explained(name: str, timeout: float) -> Iterator[None]:
    """Turn errors of the database ``name`` into ``StoreError``."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StoreError(f"The database {name!r} {_reason(error, timeout)}.") from error


def _reason(error: Exception, timeout: float) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    # Extended codes, such as SQLITE_READONLY_DIRECTORY, begin with the plain one.
    code = "_".join(getattr(cause, "sqlite_errorname", "").split("_")[:2])
    if code in _ADVICE:
        return _ADVICE[code].format(timeout=timeout)
    if isinstance(cause, OSError):
        return f"cannot be opened ({cause.strerror or cause}); set QWENDESK_HOME to a folder that can be written"
    return f"failed: {_told(cause).strip().rstrip('.')}; try again, and see 'qwendesk doctor' if it stays so"


def _told(cause: BaseException) -> str:
    """Return the driver's own words, as SQLAlchemy's may quote what a person wrote; so may most of PostgreSQL's."""
    told = getattr(getattr(cause, "diag", None), "message_primary", None)
    if told and str(getattr(cause, "sqlstate", "")).startswith(_ABOUT_A_VALUE):
        return type(cause).__name__
    return told or str(cause)
