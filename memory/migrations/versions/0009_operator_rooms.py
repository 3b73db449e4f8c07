"""Add operators' rooms; deliveries of tickets' events are for webhooks and for rooms."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0009_operator_rooms"
down_revision = "0008_imports"
branch_labels = None
depends_on = None

_READER = "id, tenant_id, name, started_at, read_until"
_DELIVERY = "event_id, ticket_id, kind, status, attempts, next_at, response_status, error, created_at, finished_at"


def upgrade() -> None:
    _create_reader("event_reader")
    _create_delivery("event_delivery", "reader", _number("parts_sent"))
    op.execute(f"INSERT INTO event_reader ({_READER}) SELECT {_READER} FROM webhook")
    op.execute(
        f"INSERT INTO event_delivery (id, tenant_id, reader, {_DELIVERY}) "
        f"SELECT id, tenant_id, webhook, {_DELIVERY} FROM webhook_delivery"
    )
    op.drop_table("webhook_delivery")
    op.drop_table("webhook")
    _create(
        "room_thread",
        _reference("ticket_id", "ticket"),
        _text("channel"),
        _text("room"),
        _text("conversation"),
        _text("head_id", nullable=True),
        sa.Column("is_introduced", sa.Boolean, nullable=False, server_default=sa.false()),
        _number("newest_sequence"),
        _text("newest_event_id", server_default=""),
        _moment("opened_at"),
        sa.UniqueConstraint("tenant_id", "channel", "room", "ticket_id"),
        sa.UniqueConstraint("tenant_id", "channel", "conversation"),
    )
    _index("room_thread", "ticket_id")
    _create(
        "operator_link",
        _reference("operator_id", "operator"),
        _text("channel"),
        _text("person", nullable=True),
        _text("display_name", server_default=""),
        _text("code_digest", nullable=True),
        _moment("code_expires_at", nullable=True),
        _moment("linked_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "operator_id", "channel"),
        sa.UniqueConstraint("tenant_id", "channel", "person"),
    )
    _index("operator_link", "operator_id")
    _create(
        "handled_room_message",
        _text("channel"),
        _text("event"),
        _moment("handled_at"),
        sa.UniqueConstraint("tenant_id", "channel", "event"),
    )
    _index("handled_room_message", "handled_at")


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
    _create(
        table,
        _text("name"),
        _moment("started_at"),
        _moment("read_until"),
        sa.UniqueConstraint("tenant_id", "name"),
    )


def _create_delivery(table: str, reader: str, *more: sa.Column[Any]) -> None:
    _create(
        table,
        _text(reader),
        _reference("event_id", "ticket_event"),
        _reference("ticket_id", "ticket"),
        _text("kind"),
        _text("status", server_default="waiting"),
        _number("attempts"),
        _moment("next_at"),
        sa.Column("response_status", sa.Integer),
        _text("error", nullable=True),
        *more,
        _moment("created_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", reader, "event_id"),
        sa.CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
    )
    for columns in (["event_id"], ["ticket_id"], ["status", "next_at"], [reader, "ticket_id", "status"]):
        _index(table, *columns)


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, _text("id", primary_key=True), tenant, *items)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, server_default=sa.text("0"))


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), **{"nullable": False, **options})


def _reference(name: str, table: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False)
