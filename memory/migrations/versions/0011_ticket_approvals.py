"""Add the calls that operators decide on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, index, integer, json, moment, reference, text

revision = "0011_ticket_approvals"
down_revision = "0010_ticket_texts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(
        "ticket_approval",
        reference("ticket_id", "ticket"),
        reference("turn_id", "turn"),
        text("pending_id"),
        integer("sequence"),
        json("calls"),
        json("decisions", server_default=sa.text("'{}'")),
        text("status", server_default="waiting"),
        text("reason", server_default=""),
        moment("expires_at"),
        moment("created_at"),
        sa.UniqueConstraint("pending_id"),
        sa.CheckConstraint("status IN ('waiting', 'decided', 'done', 'dropped')", name="status"),
    )
    index("ticket_approval", "ticket_id")
    index("ticket_approval", "turn_id")
    index("ticket_approval", "ticket_id", name="ix_ticket_approval_waiting", where="status = 'waiting'")


def downgrade() -> None:
    op.drop_table("ticket_approval")
