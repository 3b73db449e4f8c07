"""Add customers' ratings of tickets, and drafts for the knowledge base."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, index, integer, moment, reference, text

revision = "0004_reports"
down_revision = "0003_tickets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(
        "ticket_rating",
        reference("ticket_id", "ticket", unique=True),
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        integer("score", nullable=True),
        text("comment", nullable=True),
        moment("asked_at"),
        moment("answered_at", nullable=True),
        sa.CheckConstraint("score BETWEEN 1 AND 5", name="score"),
    )
    index("ticket_rating", "operator_id")
    index("ticket_rating", "tenant_id", "asked_at")
    create(
        "knowledge_draft",
        reference("ticket_id", "ticket"),
        text("question"),
        text("answer"),
        text("language", nullable=True),
        text("status"),
        text("document", nullable=True),
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        moment("created_at"),
        moment("decided_at", nullable=True),
        sa.CheckConstraint("status IN ('open', 'approved', 'dismissed')", name="status"),
    )
    index("knowledge_draft", "ticket_id")
    index("knowledge_draft", "operator_id")
    index("knowledge_draft", "tenant_id", "status", "created_at")


def downgrade() -> None:
    op.drop_table("knowledge_draft")
    op.drop_table("ticket_rating")
