"""Add customers' ratings of tickets, and drafts for the knowledge base."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004_reports"
down_revision = "0003_tickets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create(
        "ticket_rating",
        sa.Column("ticket_id", sa.Text, sa.ForeignKey("ticket.id", ondelete="CASCADE"), nullable=False, unique=True),
        sa.Column("operator_id", sa.Text, sa.ForeignKey("operator.id", ondelete="SET NULL")),
        sa.Column("score", sa.Integer),
        sa.Column("comment", sa.Text),
        sa.Column("asked_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score"),
    )
    _index("ticket_rating", "operator_id")
    _index("ticket_rating", "tenant_id", "asked_at")
    _create(
        "knowledge_draft",
        sa.Column("ticket_id", sa.Text, sa.ForeignKey("ticket.id", ondelete="CASCADE"), nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("language", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("document", sa.Text),
        sa.Column("operator_id", sa.Text, sa.ForeignKey("operator.id", ondelete="SET NULL")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("decided_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("status IN ('open', 'approved', 'dismissed')", name="status"),
    )
    _index("knowledge_draft", "ticket_id")
    _index("knowledge_draft", "operator_id")
    _index("knowledge_draft", "tenant_id", "status", "created_at")


def downgrade() -> None:
    op.drop_table("knowledge_draft")
    op.drop_table("ticket_rating")


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, sa.Column("id", sa.Text, primary_key=True, nullable=False), tenant, *items)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))
