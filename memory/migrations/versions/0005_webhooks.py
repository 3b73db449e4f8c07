"""Add outbound webhooks and the deliveries of tickets' events to them."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0005_webhooks"
down_revision = "0004_reports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create(
        "webhook",
        _text("name"),
        _moment("started_at"),
        _moment("read_until"),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    _create(
        "webhook_delivery",
        _text("webhook"),
        _reference("event_id", "ticket_event"),
        _reference("ticket_id", "ticket"),
        _text("kind"),
        _text("status", server_default="waiting"),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        _moment("next_at"),
        sa.Column("response_status", sa.Integer),
        _text("error", nullable=True),
        _moment("created_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "webhook", "event_id"),
        sa.CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
    )
    for columns in (["event_id"], ["ticket_id"], ["status", "next_at"], ["webhook", "ticket_id", "status"]):
        op.create_index(op.f(f"ix_webhook_delivery_{'_'.join(columns)}"), "webhook_delivery", columns)


def downgrade() -> None:
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, _text("id", primary_key=True), tenant, *items)


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), **{"nullable": False, **options})


def _reference(name: str, table: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False)
