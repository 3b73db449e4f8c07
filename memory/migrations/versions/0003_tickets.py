"""Add operators, tickets and translations; a conversation's mode becomes the state of its tickets."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003_tickets"
down_revision = "0002_pending_turn"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
TABLES = (
    "message_translation",
    "ticket_presence",
    "ticket_note",
    "ticket_event",
    "ticket",
    "operator_audit",
    "operator_session",
    "operator",
)
STATES = "'bot', 'waiting', 'human', 'resolved', 'snoozed'"
ADDED = {"message": ("ticket_id", "operator_id"), "inbound_event": ("ticket_id", "operator_id")}


# SQLite changes a check by copying the table, which has to be described where only the SQL is written out.
NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


def upgrade() -> None:
    _operators()
    _tickets()
    with op.batch_alter_table("conversation", copy_from=_conversation()) as table:
        table.drop_constraint(op.f("ck_conversation_mode"), type_="check")
        table.drop_column("mode")
    with op.batch_alter_table("message", copy_from=_message()) as table:
        table.drop_constraint(op.f("ck_message_role"), type_="check")
        table.create_check_constraint(op.f("ck_message_role"), "role IN ('user', 'assistant', 'operator')")
        _add_references(table, "message")
    with op.batch_alter_table("inbound_event", copy_from=_inbound_event()) as table:
        table.add_column(_text("source", server_default="customer"))
        table.create_check_constraint(op.f("ck_inbound_event_source"), "source IN ('customer', 'operator', 'desk')")
        _add_references(table, "inbound_event")


def downgrade() -> None:
    for name, columns in ADDED.items():
        with op.batch_alter_table(name) as table:
            for column in columns:
                table.drop_index(op.f(f"ix_{name}_{column}"))
                table.drop_constraint(op.f(f"fk_{name}_{column}_{column.removesuffix('_id')}"), type_="foreignkey")
                table.drop_column(column)
    with op.batch_alter_table("inbound_event") as table:
        table.drop_constraint(op.f("ck_inbound_event_source"), type_="check")
        table.drop_column("source")
    op.execute("DELETE FROM message WHERE role = 'operator'")
    with op.batch_alter_table("message") as table:
        table.drop_constraint(op.f("ck_message_role"), type_="check")
        table.create_check_constraint(op.f("ck_message_role"), "role IN ('user', 'assistant')")
    with op.batch_alter_table("conversation") as table:
        table.add_column(_text("mode", server_default="bot"))
        table.create_check_constraint(op.f("ck_conversation_mode"), f"mode IN ({STATES})")
    for name in TABLES:
        op.drop_table(name)


def _operators() -> None:
    _create(
        "operator",
        _text("name"),
        _text("display_name"),
        _text("password_hash"),
        _text("role"),
        _json("languages", server_default=sa.text("'[]'")),
        _json("teams", server_default=sa.text("'[]'")),
        _text("totp_secret", nullable=True),
        _flag("is_totp_confirmed", sa.false()),
        sa.Column("totp_last_step", sa.Integer),
        _integer("failed_logins", server_default=sa.text("0")),
        _moment("locked_until", nullable=True),
        _flag("is_available", sa.true()),
        _moment("seen_at", nullable=True),
        _moment("disabled_at", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("tenant_id", "name"),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="role"),
    )
    _create(
        "operator_session",
        _reference("operator_id", "operator"),
        _text("csrf_token"),
        _flag("needs_totp", sa.false()),
        _moment("created_at"),
        _moment("seen_at"),
        _moment("expires_at"),
    )
    _index("operator_session", "operator_id")
    _create(
        "operator_audit",
        _reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        _text("operator_name"),
        _text("action"),
        _text("subject"),
        _json("details", server_default=sa.text("'{}'")),
        _text("address", nullable=True),
        _moment("at"),
    )
    _index("operator_audit", "operator_id")
    _index("operator_audit", "tenant_id", "at")


def _tickets() -> None:
    _create(
        "ticket",
        _integer("number"),
        _reference("conversation_id", "conversation"),
        _reference("person_id", "person", nullable=True),
        _json("delivery"),
        _text("state"),
        _reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        _text("subject"),
        _integer("priority", server_default=sa.text("1")),
        _json("tags", server_default=sa.text("'[]'")),
        _json("fields", server_default=sa.text("'{}'")),
        _text("team", nullable=True),
        _text("language", nullable=True),
        _text("reason", nullable=True),
        _json("signals", server_default=sa.text("'{}'")),
        _integer("version", server_default=sa.text("1")),
        _reference("merged_into_id", "ticket", nullable=True, ondelete="SET NULL"),
        _moment("snoozed_until", nullable=True),
        _moment("waiting_since", nullable=True),
        _moment("first_response_at", nullable=True),
        _moment("resolved_at", nullable=True),
        _moment("last_message_at"),
        _text("last_from", server_default="customer"),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "number"),
        sa.CheckConstraint(f"state IN ({STATES})", name="state"),
        sa.CheckConstraint("priority IN (0, 1, 2, 3)", name="priority"),
    )
    _index("ticket", "person_id")
    _index("ticket", "operator_id")
    _index("ticket", "tenant_id", "state", "updated_at")
    _index("ticket", "conversation_id", "number")
    _create(
        "ticket_event",
        _reference("ticket_id", "ticket"),
        _text("kind"),
        _text("actor"),
        _reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        _text("reason", server_default=""),
        _json("changes", server_default=sa.text("'{}'")),
        _moment("at"),
        sa.CheckConstraint("actor IN ('customer', 'bot', 'operator', 'rule', 'api')", name="actor"),
    )
    _index("ticket_event", "ticket_id")
    _index("ticket_event", "operator_id")
    _index("ticket_event", "tenant_id", "at")
    _create(
        "ticket_note",
        _reference("ticket_id", "ticket"),
        _reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        _text("text"),
        _json("mentions", server_default=sa.text("'[]'")),
        _moment("created_at"),
    )
    _index("ticket_note", "ticket_id")
    _index("ticket_note", "operator_id")
    _create(
        "ticket_presence",
        _reference("ticket_id", "ticket"),
        _reference("operator_id", "operator"),
        _moment("typing_at", nullable=True),
        _moment("seen_at"),
        sa.UniqueConstraint("ticket_id", "operator_id"),
    )
    _index("ticket_presence", "ticket_id")
    _index("ticket_presence", "operator_id")
    _create(
        "message_translation",
        _reference("message_id", "message"),
        _text("language"),
        _text("text"),
        _text("status"),
        _json("doubts", server_default=sa.text("'[]'")),
        _text("model", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("message_id", "language"),
        sa.CheckConstraint("status IN ('done', 'refused', 'failed')", name="status"),
    )


def _add_references(table: Any, name: str) -> None:
    for column in ADDED[name]:
        target = column.removesuffix("_id")
        table.add_column(sa.Column(column, sa.Text))
        table.create_foreign_key(op.f(f"fk_{name}_{column}_{target}"), target, [column], ["id"], ondelete="SET NULL")
        table.create_index(op.f(f"ix_{name}_{column}"), [column])


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, _text("id", primary_key=True), tenant, *items)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _integer(name: str, **options: Any) -> sa.Column[int]:
    return sa.Column(name, sa.Integer, nullable=False, **options)


def _flag(name: str, default: Any) -> sa.Column[bool]:
    return sa.Column(name, sa.Boolean, nullable=False, server_default=default)


def _json(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, JSON, nullable=False, **options)


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, sa.DateTime(timezone=True), **{"nullable": False, **options})


def _reference(name: str, table: str, *, nullable: bool = False, ondelete: str = "CASCADE") -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete=ondelete), nullable=nullable)


def _described(table: str, *items: Any) -> sa.Table:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    return sa.Table(table, sa.MetaData(naming_convention=NAMES), _text("id", primary_key=True), tenant, *items)


def _conversation() -> sa.Table:
    return _described(
        "conversation",
        _text("channel"),
        _text("account"),
        _text("external_id"),
        _integer("next_sequence"),
        _text("title"),
        _text("mode", server_default="bot"),
        _text("locale", nullable=True),
        _json("settings", server_default=sa.text("'{}'")),
        _integer("learned_sequence", server_default=sa.text("0")),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "external_id"),
        sa.CheckConstraint(f"mode IN ({STATES})", name="mode"),
        sa.Index(None, "tenant_id", "updated_at"),
    )


def _message() -> sa.Table:
    return _described(
        "message",
        _reference("conversation_id", "conversation"),
        _integer("sequence"),
        _text("role"),
        _integer("part"),
        _reference("person_id", "person", nullable=True),
        _text("text"),
        sa.Column("parts", JSON),
        _text("model", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("conversation_id", "sequence", "role", "part"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name="role"),
        sa.Index(None, "person_id"),
    )


def _inbound_event() -> sa.Table:
    def where(condition: str) -> dict[str, Any]:
        return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}

    return _described(
        "inbound_event",
        _text("channel"),
        _text("account"),
        _text("event", nullable=True),
        _reference("conversation_id", "conversation"),
        _integer("sequence"),
        _text("person"),
        _json("payload"),
        _text("status", server_default="queued"),
        _integer("runs", server_default=sa.text("0")),
        _integer("forgiven_runs", server_default=sa.text("0")),
        _integer("generation", server_default=sa.text("0")),
        sa.Column("saved_reply", JSON),
        sa.Column("cancel_requested", sa.Boolean, nullable=False, server_default=sa.text("false")),
        _text("error", nullable=True),
        _moment("received_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "channel", "account", "event"),
        sa.UniqueConstraint("conversation_id", "sequence"),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed', 'stopped', 'dead')", name="status"),
        sa.Index("ix_inbound_event_open", "conversation_id", **where("status = 'queued'")),
        sa.Index("ix_inbound_event_finished", "finished_at", **where("finished_at IS NOT NULL")),
    )
