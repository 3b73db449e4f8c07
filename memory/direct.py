"""SQLite without a change of threads for each step: a statement takes less time than handing it over does.

What may wait is still done in the connection's own thread: beginning a transaction (for another writer) and ending one
(for the disk). In between, this program holds the database, and nothing can keep a statement waiting.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import dialect
from sqlalchemy.engine import URL

_CHUNK = 64
_MUCH = "kb_"
"""The knowledge base's tables: searching them takes longer than a change of threads."""


class DirectConnection(aiosqlite.Connection):
    """A connection that runs on the event loop what cannot wait."""

    _reads_much = False

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if not self._running or self._connection is None:
            raise ValueError("Connection closed")
        if self._may_wait(fn, args):
            # aiosqlite has no types inside
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        return fn(*args, **kwargs)

    def _may_wait(self, fn: Callable[..., Any], args: tuple[Any, ...]) -> bool:
        """Whether another writer or the disk decides how long it takes: not inside a transaction, nor for reading."""
        if self._connection is None or fn == self._connection.commit:
            return True
        statement = args[0] if args and isinstance(args[0], str) else ""
        if statement:
            self._reads_much = _MUCH in statement
        if self._reads_much:
            return True
        return bool(statement) and not self._connection.in_transaction and not statement.startswith("SELECT")


def connector(url: URL) -> Callable[..., Any]:
    """Return what SQLAlchemy calls for a new connection to a SQLite database."""
    arguments, given = dialect().create_connect_args(url)
    options: dict[str, Any] = {**given, "check_same_thread": False}

    def connect(*_: Any, **__: Any) -> Any:
        connection = DirectConnection(lambda: sqlite3.connect(arguments[0], **options), _CHUNK)
        connection._thread.daemon = True
        return connection

    return connect
