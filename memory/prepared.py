"""Statements for SQLite's own driver: compiled once, and with what turns values into columns and back at hand.

SQLAlchemy does all of that too, but for each run anew, which takes longer than most of these statements do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import Any, Self

from sqlalchemy import BindParameter, Dialect
from sqlalchemy.engine import IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import SelectBase

Convert = Callable[[Any], Any]


class Rows(IteratorResult[*tuple[Any, ...]]):
    """What a statement gave; without ``RETURNING``, a change gave no rows."""

    rowcount: int
    """Rows that were changed."""


class Prepared:
    """A statement that can be run again and again; ``of`` makes one."""

    def __init__(self, compiled: SQLCompiler, dialect: Dialect) -> None:
        self._text = str(compiled)
        self._slots = [_slot(compiled, name, dialect) for name in compiled.positiontup or ()]
        # private, but nothing else tells how SQLAlchemy calls a column that has no name of its own
        columns = compiled._result_columns
        self._metadata = SimpleResultMetaData([column.keyname for column in columns])
        read = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
        self._read = read if any(read) else None

    @classmethod
    def of(cls, statement: Executable, dialect: Dialect, names: tuple[str, ...]) -> Self | None:
        """Compile a statement; None for what SQLAlchemy has to see each time: plain text, lists, defaults, mistakes.

        Args:
            statement: what is to be run.
            dialect: SQLite's.
            names: what values it is given, as these decide which columns an insert or an update is about.
        """
        if not isinstance(statement, SelectBase | UpdateBase):
            return None
        compiled = statement.compile(dialect=dialect, column_keys=list(names))
        assert isinstance(compiled, SQLCompiler)
        expands = compiled.post_compile_params or compiled.literal_execute_params
        has_defaults = compiled.insert_prefetch or compiled.update_prefetch
        has_text = any(column.keyname is None for column in compiled._result_columns)
        is_known = all(_is_known(bound, name in names) for name, bound in compiled.binds.items())
        return cls(compiled, dialect) if is_known and not (expands or has_defaults or has_text) else None

    def run(self, driver: sqlite3.Connection, values: Mapping[str, Any]) -> Rows:
        """Run it where this is called, and read all that it gives.

        Raises:
            StatementError: as SQLAlchemy raises it, with the driver's error in it or what a value's type made of it.
        """
        cursor = sqlite3.Connection.cursor(driver)
        try:
            cursor.execute(self._text, [_written(values, *slot) for slot in self._slots])
            found = cursor.fetchall()
        except Exception as error:
            raise DBAPIError.instance(self._text, None, error, sqlite3.Error, hide_parameters=True) from error
        rows = Rows(self._metadata, iter(found if self._read is None else map(self._converted, found)))
        rows.rowcount = cursor.rowcount
        return rows

    def _converted(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        assert self._read is not None
        return tuple([value if read is None else read(value) for read, value in zip(self._read, row, strict=True)])


def _is_known(bound: BindParameter[Any], is_given: bool) -> bool:
    return bound.callable is None and (is_given or not bound.required)


def _slot(compiled: SQLCompiler, name: str, dialect: Dialect) -> tuple[str, Any, Convert | None]:
    """Return a place in the text: whose value stands there, which one unless it is given, and how it is written."""
    bound = compiled.binds[name]
    return name, bound.value, bound.type.dialect_impl(dialect).bind_processor(dialect)


def _written(values: Mapping[str, Any], name: str, default: Any, write: Convert | None) -> Any:
    value = values.get(name, default)
    return value if write is None else write(value)
