"""Add outbound webhooks and the deliveries of tickets' events to them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, index, integer, moment, reference, text

revision = "0005_webhooks"
down_revision = "0004_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(
        "webhook",
        text("name"),
        moment("started_at"),
        moment("read_until"),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    create(
        "webhook_delivery",
        text("webhook"),
        reference("event_id", "ticket_event"),
        reference("ticket_id", "ticket"),
        text("kind"),
        text("status", server_default="waiting"),
        integer("attempts", server_default=sa.text("0")),
        moment("next_at"),
        integer("response_status", nullable=True),
        text("error", nullable=True),
        moment("created_at"),
        moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "webhook", "event_id"),
        sa.CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
    )
    for columns in (["event_id"], ["ticket_id"], ["status", "next_at"], ["webhook", "ticket_id", "status"]):
        index("webhook_delivery", *columns)


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
