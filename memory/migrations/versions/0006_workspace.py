"""Add what operators keep for their work: saved views, macros, drafts, read marks, changes to be undone."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0006_workspace"
down_revision = "0005_webhooks"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TABLES = ("bulk_change", "ticket_read", "reply_draft", "macro", "saved_view")


def upgrade() -> None:
    _create(
        "saved_view",
        _reference("operator_id", "operator"),
        _text("name"),
        sa.Column("query", JSON, nullable=False),
        sa.Column("is_shared", sa.Boolean, nullable=False, server_default=sa.false()),
        _moment("created_at"),
        sa.UniqueConstraint("tenant_id", "operator_id", "name"),
    )
    _create(
        "macro",
        _reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        _text("name"),
        sa.Column("steps", JSON, nullable=False),
        _text("text"),
        _moment("created_at"),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    _create(
        "reply_draft",
        _reference("ticket_id", "ticket"),
        _reference("operator_id", "operator"),
        _text("kind"),
        _text("text"),
        _moment("updated_at"),
        sa.UniqueConstraint("ticket_id", "operator_id", "kind"),
        sa.CheckConstraint("kind IN ('reply', 'note')", name="kind"),
    )
    _create(
        "ticket_read",
        _reference("ticket_id", "ticket"),
        _reference("operator_id", "operator"),
        _moment("read_at"),
        sa.UniqueConstraint("ticket_id", "operator_id"),
    )
    _create(
        "bulk_change",
        _reference("operator_id", "operator"),
        sa.Column("before", JSON, nullable=False),
        _moment("created_at"),
    )
    for table in TABLES:
        _index(table, "operator_id")
    for table in ("reply_draft", "ticket_read"):
        _index(table, "ticket_id")


def downgrade() -> None:
    for name in TABLES:
        op.drop_table(name)


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, _text("id", primary_key=True), tenant, *items)


def _index(table: str, column: str) -> None:
    op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _moment(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False)


def _reference(name: str, table: str, *, nullable: bool = False, ondelete: str = "CASCADE") -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable)
