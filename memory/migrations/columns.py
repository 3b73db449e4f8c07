"""Tables, indexes and columns as migrations write them; what they return does not change any more."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def create(table: str, *items: Any) -> None:
    """Create a table with an id and its tenant."""
    op.create_table(table, text("id", primary_key=True), tenant(), *items)


def index(table: str, *columns: str, name: str | None = None, where: str | None = None, unique: bool = False) -> None:
    """Create an index; ``where``: of the rows for which that holds."""
    condition = None if where is None else sa.text(where)
    op.create_index(
        name or op.f(f"ix_{table}_{'_'.join(columns)}"),
        table,
        list(columns),
        unique=unique,
        sqlite_where=condition,
        postgresql_where=condition,
    )


def tenant() -> sa.Column[str]:
    """Return the column of the owner."""
    return reference("tenant_id", "tenant", ondelete=None, server_default="default")


def text(name: str, **options: Any) -> sa.Column[str]:
    """Return a column of text."""
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def integer(name: str, **options: Any) -> sa.Column[int]:
    """Return a column of integers."""
    return sa.Column(name, sa.Integer, **{"nullable": False, **options})


def flag(name: str, default: Any) -> sa.Column[bool]:
    """Return a column of truth values."""
    return sa.Column(name, sa.Boolean, nullable=False, server_default=default)


def json(name: str, **options: Any) -> sa.Column[Any]:
    """Return a column of JSON values."""
    return sa.Column(name, JSON, **{"nullable": False, **options})


def moment(name: str, **options: Any) -> sa.Column[Any]:
    """Return a column of times."""
    return sa.Column(name, sa.DateTime(timezone=True), **{"nullable": False, **options})


def reference(
    name: str, table: str, *, nullable: bool = False, ondelete: str | None = "CASCADE", **options: Any
) -> sa.Column[str]:
    """Return a column that refers to the rows of a table."""
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable, **options)
