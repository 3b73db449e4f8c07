"""Alembic's environment: runs migrations on a given connection, or writes their SQL for a URL."""

from __future__ import annotations

from typing import Any

from alembic import context

from qwendesk.memory.tables.conversations import Base

_DERIVED = {"tsv", "ix_kb_chunk_tsv"}
"""Columns and indexes that a migration creates for one kind of database only."""


def _is_ours(item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Ignore tables of libraries in the same database."""
    if kind in ("column", "index") and name in _DERIVED:
        return False
    return kind != "table" or name in Base.metadata.tables


def _is_read(name: str | None, kind: str, _: Any) -> bool:
    """Skip other tables before they are read: vector indexes have types unknown to SQLAlchemy."""
    return kind != "table" or name in Base.metadata.tables


def _run(**target: Any) -> None:
    filters: dict[str, Any] = {"include_object": _is_ours, "include_name": _is_read}
    context.configure(target_metadata=Base.metadata, render_as_batch=True, **filters, **target)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    url = context.config.get_main_option("sqlalchemy.url")
    _run(url=url, literal_binds=True, dialect_opts={"paramstyle": "named"})
else:
    _run(connection=context.config.attributes["connection"])
