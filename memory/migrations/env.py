"""Alembic's way in: on a connection that is handed over, or as SQL for a URL."""

from __future__ import annotations

from typing import Any

from alembic import context

from qwendesk.memory.tables.conversations import Base

_DERIVED = {"tsv", "ix_kb_chunk_tsv"}
"""What a migration makes for one kind of database only."""


def _is_ours(item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Leave alone the tables that libraries keep in the same database."""
    if kind in ("column", "index") and name in _DERIVED:
        return False
    return kind != "table" or name in Base.metadata.tables


def _is_looked_at(name: str | None, kind: str, _: Any) -> bool:
    """Pass over other tables before they are read: indexes of vectors have types that SQLAlchemy does not know."""
    return kind != "table" or name in Base.metadata.tables


def _run(**target: Any) -> None:
    looked_at: dict[str, Any] = {"include_object": _is_ours, "include_name": _is_looked_at}
    context.configure(target_metadata=Base.metadata, render_as_batch=True, **looked_at, **target)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    url = context.config.get_main_option("sqlalchemy.url")
    _run(url=url, literal_binds=True, dialect_opts={"paramstyle": "named"})
else:
    _run(connection=context.config.attributes["connection"])
