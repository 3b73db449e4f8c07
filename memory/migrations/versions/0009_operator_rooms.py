"""Add operators' rooms; deliveries of tickets' events are for webhooks and for rooms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, flag, index, integer, moment, reference, text

revision = "0009_operator_rooms"
down_revision = "0008_imports"
branch_labels = None
depends_on = None

_READER = "id, tenant_id, name, started_at, read_until"
_DELIVERY = "event_id, ticket_id, kind, status, attempts, next_at, response_status, error, created_at, finished_at"


def upgrade() -> None:
    _create_reader("event_reader")
    _create_delivery("event_delivery", "reader", integer("parts_sent", server_default=sa.text("0")))
    op.execute(f"INSERT INTO event_reader ({_READER}) SELECT {_READER} FROM webhook")
    op.execute(
        f"INSERT INTO event_delivery (id, tenant_id, reader, {_DELIVERY}) "
        f"SELECT id, tenant_id, webhook, {_DELIVERY} FROM webhook_delivery"
    )
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
    create(
        "room_thread",
        reference("ticket_id", "ticket"),
        text("channel"),
        text("room"),
        text("conversation"),
        text("head_id", nullable=True),
        flag("is_introduced", sa.false()),
        integer("newest_sequence", server_default=sa.text("0")),
        text("newest_event_id", server_default=""),
        moment("opened_at"),
        sa.UniqueConstraint("tenant_id", "channel", "room", "ticket_id"),
        sa.UniqueConstraint("tenant_id", "channel", "conversation"),
    )
    index("room_thread", "ticket_id")
    create(
        "operator_link",
        reference("operator_id", "operator"),
        text("channel"),
        text("person", nullable=True),
        text("display_name", server_default=""),
        text("code_digest", nullable=True),
        moment("code_expires_at", nullable=True),
        moment("linked_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "operator_id", "channel"),
        sa.UniqueConstraint("tenant_id", "channel", "person"),
    )
    index("operator_link", "operator_id")
    create(
        "handled_room_message",
        text("channel"),
        text("event"),
        moment("handled_at"),
        sa.UniqueConstraint("tenant_id", "channel", "event"),
    )
    index("handled_room_message", "handled_at")


def downgrade() -> None:
    _create_reader("webhook")
    _create_delivery("webhook_delivery", "webhook")
    op.execute(
        f"INSERT INTO webhook ({_READER}) SELECT {_READER} FROM event_reader WHERE name NOT LIKE 'operators_room:%'"
    )
    op.execute(
        f"INSERT INTO webhook_delivery (id, tenant_id, webhook, {_DELIVERY}) "
        f"SELECT id, tenant_id, reader, {_DELIVERY} FROM event_delivery WHERE reader NOT LIKE 'operators_room:%'"
    )
    for table in ("handled_room_message", "operator_link", "room_thread", "event_delivery", "event_reader"):
        op.drop_table(table)


def _create_reader(table: str) -> None:
    create(
        table,
        text("name"),
        moment("started_at"),
        moment("read_until"),
        sa.UniqueConstraint("tenant_id", "name"),
    )


def _create_delivery(table: str, reader: str, *more: sa.Column[Any]) -> None:
    create(
        table,
        text(reader),
        reference("event_id", "ticket_event"),
        reference("ticket_id", "ticket"),
        text("kind"),
        text("status", server_default="waiting"),
        integer("attempts", server_default=sa.text("0")),
        moment("next_at"),
        integer("response_status", nullable=True),
        text("error", nullable=True),
        *more,
        moment("created_at"),
        moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", reader, "event_id"),
        sa.CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
    )
    for columns in (["event_id"], ["ticket_id"], ["status", "next_at"], [reader, "ticket_id", "status"]):
        index(table, *columns)
