"""One tenant's view of the database: every statement is restricted to the tenant's rows before it runs.

Repositories receive a ``TenantDatabase`` only, so no query can reach another tenant's rows: each table of a statement
is restricted here, including those of its subqueries.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from sqlalchemy import ColumnElement, Delete, Insert, Select, Table, Update, bindparam
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql import visitors
from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.selectable import Alias, CompoundSelect, FromClause, Join

from qwendesk.errors import StoreError
from qwendesk.memory.database import Database

P = ParamSpec("P")
T = TypeVar("T")
Values = Mapping[str, Any]
OF_TENANT = "of_tenant"


class TenantDatabase:
    """Units of work on the rows of one tenant."""

    def __init__(self, database: Database, tenant: str) -> None:
        self.whole_database = database
        """The database of all tenants, for opening, closing and maintenance."""
        self.tenant = tenant
        self.name = database.name
        self.dialect = database.engine.dialect.name

    @asynccontextmanager
    async def read(self) -> AsyncIterator[TenantConnection]:
        """Open a read-only transaction whose statements see one committed state."""
        async with self.whole_database.read() as connection:
            yield TenantConnection(connection, self.tenant)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[TenantConnection]:
        """Open a transaction that is committed at the end and rolled back on an error."""
        async with self.whole_database.write() as connection:
            yield TenantConnection(connection, self.tenant)

    async def shield(self, work: Coroutine[Any, Any, T]) -> T:
        """Complete a unit of work even if the caller is cancelled."""
        return await self.whole_database.shield(work)


@dataclass(frozen=True, slots=True)
class TenantConnection:
    """A connection that runs statements on one tenant's rows only."""

    raw: AsyncConnection
    """The unrestricted connection, for the queue's tables and SQL that is not of one tenant."""
    tenant: str

    async def execute(
        self, statement: Executable, values: Values | Sequence[Values] = ()
    ) -> CursorResult[*tuple[Any, ...]]:
        """Run a statement restricted to the tenant's rows."""
        scoped = restricted(statement)
        if isinstance(values, Mapping):
            return await self.raw.execute(scoped.statement, scoped.filled(self.tenant, values))
        many = [scoped.filled(self.tenant, row) for row in values] or scoped.filled(self.tenant, {})
        return await self.raw.execute(scoped.statement, many)


@dataclass(frozen=True, slots=True)
class RestrictedStatement:
    """A statement restricted to a tenant, which is a parameter."""

    statement: Executable
    adds_rows: bool
    has_criteria: bool

    def filled(self, tenant: str, values: Values) -> dict[str, Any]:
        """Return the statement's parameters with the tenant added."""
        filled = dict(values)
        if self.adds_rows:
            filled["tenant_id"] = tenant
        if self.has_criteria:
            filled[OF_TENANT] = tenant
        return filled


@lru_cache(maxsize=512)
def restricted(statement: Executable) -> RestrictedStatement:
    """Return the statement with a condition on the tenant for every table.

    The result is cached: restricting a large statement takes milliseconds.

    Raises:
        StoreError: a statement of this kind cannot be restricted, such as raw SQL.
    """
    scoped = _scoped(statement)
    criteria = any(getattr(part, "key", None) == OF_TENANT for part in visitors.iterate(scoped))
    return RestrictedStatement(scoped, isinstance(statement, Insert), criteria)


def _scoped(statement: Any) -> Any:
    if not isinstance(statement, Select | CompoundSelect | Insert | Update | Delete):
        raise StoreError(f"A statement of kind {type(statement).__name__!r} cannot be restricted to a tenant.")

    def inner(part: Any, **_: Any) -> Any:
        return _scoped(part) if isinstance(part, Select) and part is not statement else None

    traverse: Any = visitors.replacement_traverse  # typed for column expressions only
    scoped = traverse(statement, {}, inner)
    if isinstance(statement, Select):
        return scoped.where(*_criteria(statement.get_final_froms()))
    if isinstance(statement, Update | Delete):
        return scoped.where(_is_ours(statement.table))
    return scoped


def _is_ours(table: Any) -> ColumnElement[bool]:
    ours: ColumnElement[bool] = table.c.tenant_id == bindparam(OF_TENANT)
    return ours


def _criteria(froms: Sequence[FromClause], optional: bool = False) -> Iterator[ColumnElement[bool]]:
    """Yield the condition of each table that a query reads directly; subqueries are restricted separately."""
    for item in froms:
        if isinstance(item, Join):
            yield from _criteria([item.left], optional or item.full)
            yield from _criteria([item.right], optional or item.full or item.isouter)
        elif _is_table(item) and "tenant_id" in item.c:
            # In an outer join the row may be missing; an existing row always has a tenant.
            yield _is_ours(item) | item.c.tenant_id.is_(None) if optional else _is_ours(item)


def _is_table(item: FromClause) -> bool:
    return isinstance(item, Table) or (isinstance(item, Alias) and isinstance(item.element, Table))


class _Repository(Protocol):
    _database: TenantDatabase


R = TypeVar("R", bound=_Repository)


def unit_of_work(
    method: Callable[Concatenate[R, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[R, P], Coroutine[Any, Any, T]]:
    """Run a repository's method to its end even if its caller is cancelled."""

    @wraps(method)
    async def run(self: R, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._database.shield(method(self, *args, **kwargs))

    return run
