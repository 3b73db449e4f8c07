"""Statements for the drivers themselves: compiled once, and with what turns values into columns and back at hand.

SQLAlchemy does all of that too, but for each run anew, which takes longer than most of these statements do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Self

from sqlalchemy import BindParameter, Dialect
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase, TextualSelect

if TYPE_CHECKING:
    import psycopg

Convert = Callable[[Any], Any]


class Rows(IteratorResult[*tuple[Any, ...]]):
    """What a statement gave; without ``RETURNING``, a change gave no rows."""

    rowcount: int
    """Rows that were changed."""


class Prepared:
    """A statement that can be run again and again; ``of`` makes one."""

    def __init__(self, compiled: SQLCompiler, dialect: Dialect) -> None:
        self._dialect = dialect
        self._text = str(compiled)
        self._order = compiled.positiontup
        """Whose values stand where; None if the text names them."""
        self._slots = {name: _slot(bound, dialect) for bound, name in compiled.bind_names.items()}
        # private, but nothing else tells how SQLAlchemy calls a column that has no name of its own
        self._columns = compiled._result_columns
        self._metadata = SimpleResultMetaData([column.keyname for column in self._columns])
        self._read: list[Convert | None] | None = None
        """What makes values of columns, empty if nothing has to; None until the driver has told what it gives."""

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect, names: tuple[str, ...]) -> Self | None:
        """Compile a statement; None for what SQLAlchemy has to see each time: text, lists, defaults, mistakes.

        Args:
            statement: what is to be run.
            dialect: the database's.
            names: what values it is given, as these decide which columns an insert or an update is about.
        """
        if not isinstance(statement, SelectBase | UpdateBase) or isinstance(statement, TextualSelect):
            return None
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        assert isinstance(compiled, SQLCompiler)
        is_known = all(_is_known(bound, name in names) for name, bound in compiled.binds.items())
        return cls(compiled, dialect) if is_known and not _is_for_sqlalchemy(compiled) else None

    def run(self, driver: sqlite3.Connection, values: Mapping[str, Any]) -> Rows:
        """Run it where this is called, and read all that it gives.

        Raises:
            StatementError: as SQLAlchemy raises it, with the driver's error in it or what a value's type made of it.
        """
        cursor = sqlite3.Connection.cursor(driver)
        try:
            cursor.execute(self._text, self._written(values))
            return self._rows(cursor, cursor.fetchall())
        except Exception as error:
            raise as_sqlalchemy(error, self._text, self._dialect) from error

    async def run_on_server(self, driver: psycopg.AsyncConnection[Any], values: Mapping[str, Any]) -> Rows:
        """Run it on PostgreSQL, and read all that it gives.

        Raises:
            StatementError: as ``run`` does.
        """
        try:
            cursor = driver.cursor()
            await cursor.execute(self._text, self._written(values))
            return self._rows(cursor, await cursor.fetchall() if self._columns else [])
        except Exception as error:
            raise as_sqlalchemy(error, self._text, self._dialect) from error

    def _written(self, values: Mapping[str, Any]) -> Any:
        written = {}
        for name, (default, write) in self._slots.items():
            value = values.get(name, default)
            written[name] = value if write is None else write(value)
        return written if self._order is None else [written[name] for name in self._order]

    def _rows(self, cursor: Any, found: list[tuple[Any, ...]]) -> Rows:
        if self._read is None:
            self._read = self._readers(cursor.description or ())
        rows = Rows(self._metadata, map(self._converted, found) if self._read else iter(found))
        rows.rowcount = cursor.rowcount
        return rows

    def _readers(self, description: Sequence[Any]) -> list[Convert | None]:
        types = [column.type.dialect_impl(self._dialect) for column in self._columns]
        read: list[Any] = [
            kind.result_processor(self._dialect, given[1]) for kind, given in zip(types, description, strict=True)
        ]
        return read if any(read) else []

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        assert self._read
        return tuple([value if read is None else read(value) for read, value in zip(self._read, row, strict=True)])


prepared = lru_cache(maxsize=512)(Prepared.of)
"""The same, made once for each statement and the names of its values."""


def as_sqlalchemy(error: Exception, text: str, dialect: Dialect) -> Exception:
    """Return a driver's error, or what a value's type made of it, as SQLAlchemy raises it; it quotes no values."""
    wrong: type[Exception] = dialect.dbapi.Error  # type: ignore[union-attr]
    return DBAPIError.instance(text, None, error, wrong, hide_parameters=True)


def _is_for_sqlalchemy(compiled: SQLCompiler) -> bool:
    """Whether it is made anew for each run, gives more than it was asked for, or names what a text cannot."""
    expands = compiled.post_compile_params or compiled.literal_execute_params
    adds = compiled.insert_prefetch or compiled.update_prefetch or compiled.implicit_returning
    has_text = any(column.keyname is None for column in compiled._result_columns)
    return bool(expands or adds or has_text or compiled.escaped_bind_names)


def _is_known(bound: BindParameter[Any], is_given: bool) -> bool:
    return bound.callable is None and (is_given or not bound.required)


def _slot(bound: BindParameter[Any], dialect: Dialect) -> tuple[Any, Convert | None]:
    """Return which value stands in a place of the text unless it is given, and how it is written."""
    return bound.value, bound.type.dialect_impl(dialect).bind_processor(dialect)
