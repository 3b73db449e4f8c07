"""Add what the desk itself tells the customers of tickets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010_ticket_texts"
down_revision = "0009_operator_rooms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ticket_text",
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default"),
        sa.Column("ticket_id", sa.Text, sa.ForeignKey("ticket.id", ondelete="CASCADE"), nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("ticket_id", "key"),
    )
    op.create_index("ix_ticket_text_ticket_id", "ticket_text", ["ticket_id"])


def downgrade() -> None:
    op.drop_table("ticket_text")
