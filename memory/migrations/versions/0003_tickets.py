"""Add operators, tickets and translations; a conversation's mode becomes the state of its tickets."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, flag, index, integer, json, moment, reference, tenant, text

revision = "0003_tickets"
down_revision = "0002_pending_turn"
branch_labels = None
depends_on = None

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
        table.add_column(text("source", server_default="customer"))
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
        table.add_column(text("mode", server_default="bot"))
        table.create_check_constraint(op.f("ck_conversation_mode"), f"mode IN ({STATES})")
    for name in TABLES:
        op.drop_table(name)


def _operators() -> None:
    create(
        "operator",
        text("name"),
        text("display_name"),
        text("password_hash"),
        text("role"),
        json("languages", server_default=sa.text("'[]'")),
        json("teams", server_default=sa.text("'[]'")),
        text("totp_secret", nullable=True),
        flag("is_totp_confirmed", sa.false()),
        integer("totp_last_step", nullable=True),
        integer("failed_logins", server_default=sa.text("0")),
        moment("locked_until", nullable=True),
        flag("is_available", sa.true()),
        moment("seen_at", nullable=True),
        moment("disabled_at", nullable=True),
        moment("created_at"),
        sa.UniqueConstraint("tenant_id", "name"),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="role"),
    )
    create(
        "operator_session",
        reference("operator_id", "operator"),
        text("csrf_token"),
        flag("needs_totp", sa.false()),
        moment("created_at"),
        moment("seen_at"),
        moment("expires_at"),
    )
    index("operator_session", "operator_id")
    create(
        "operator_audit",
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        text("operator_name"),
        text("action"),
        text("subject"),
        json("details", server_default=sa.text("'{}'")),
        text("address", nullable=True),
        moment("at"),
    )
    index("operator_audit", "operator_id")
    index("operator_audit", "tenant_id", "at")


def _tickets() -> None:
    create(
        "ticket",
        integer("number"),
        reference("conversation_id", "conversation"),
        reference("person_id", "person", nullable=True),
        json("delivery"),
        text("state"),
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        text("subject"),
        integer("priority", server_default=sa.text("1")),
        json("tags", server_default=sa.text("'[]'")),
        json("fields", server_default=sa.text("'{}'")),
        text("team", nullable=True),
        text("language", nullable=True),
        text("reason", nullable=True),
        json("signals", server_default=sa.text("'{}'")),
        integer("version", server_default=sa.text("1")),
        reference("merged_into_id", "ticket", nullable=True, ondelete="SET NULL"),
        moment("snoozed_until", nullable=True),
        moment("waiting_since", nullable=True),
        moment("first_response_at", nullable=True),
        moment("resolved_at", nullable=True),
        moment("last_message_at"),
        text("last_from", server_default="customer"),
        moment("created_at"),
        moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "number"),
        sa.CheckConstraint(f"state IN ({STATES})", name="state"),
        sa.CheckConstraint("priority IN (0, 1, 2, 3)", name="priority"),
    )
    index("ticket", "person_id")
    index("ticket", "operator_id")
    index("ticket", "tenant_id", "state", "updated_at")
    index("ticket", "conversation_id", "number")
    create(
        "ticket_event",
        reference("ticket_id", "ticket"),
        text("kind"),
        text("actor"),
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        text("reason", server_default=""),
        json("changes", server_default=sa.text("'{}'")),
        moment("at"),
        sa.CheckConstraint("actor IN ('customer', 'bot', 'operator', 'rule', 'api')", name="actor"),
    )
    index("ticket_event", "ticket_id")
    index("ticket_event", "operator_id")
    index("ticket_event", "tenant_id", "at")
    create(
        "ticket_note",
        reference("ticket_id", "ticket"),
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        text("text"),
        json("mentions", server_default=sa.text("'[]'")),
        moment("created_at"),
    )
    index("ticket_note", "ticket_id")
    index("ticket_note", "operator_id")
    create(
        "ticket_presence",
        reference("ticket_id", "ticket"),
        reference("operator_id", "operator"),
        moment("typing_at", nullable=True),
        moment("seen_at"),
        sa.UniqueConstraint("ticket_id", "operator_id"),
    )
    index("ticket_presence", "ticket_id")
    index("ticket_presence", "operator_id")
    create(
        "message_translation",
        reference("message_id", "message"),
        text("language"),
        text("text"),
        text("status"),
        json("doubts", server_default=sa.text("'[]'")),
        text("model", nullable=True),
        moment("created_at"),
        sa.UniqueConstraint("message_id", "language"),
        sa.CheckConstraint("status IN ('done', 'refused', 'failed')", name="status"),
    )


def _add_references(table: Any, name: str) -> None:
    for column in ADDED[name]:
        target = column.removesuffix("_id")
        table.add_column(sa.Column(column, sa.Text))
        table.create_foreign_key(op.f(f"fk_{name}_{column}_{target}"), target, [column], ["id"], ondelete="SET NULL")
        table.create_index(op.f(f"ix_{name}_{column}"), [column])


def _described(table: str, *items: Any) -> sa.Table:
    return sa.Table(table, sa.MetaData(naming_convention=NAMES), text("id", primary_key=True), tenant(), *items)


def _conversation() -> sa.Table:
    return _described(
        "conversation",
        text("channel"),
        text("account"),
        text("external_id"),
        integer("next_sequence"),
        text("title"),
        text("mode", server_default="bot"),
        text("locale", nullable=True),
        json("settings", server_default=sa.text("'{}'")),
        integer("learned_sequence", server_default=sa.text("0")),
        moment("created_at"),
        moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "channel", "account", "external_id"),
        sa.CheckConstraint(f"mode IN ({STATES})", name="mode"),
        sa.Index(None, "tenant_id", "updated_at"),
    )


def _message() -> sa.Table:
    return _described(
        "message",
        reference("conversation_id", "conversation"),
        integer("sequence"),
        text("role"),
        integer("part"),
        reference("person_id", "person", nullable=True),
        text("text"),
        json("parts", nullable=True),
        text("model", nullable=True),
        moment("created_at"),
        sa.UniqueConstraint("conversation_id", "sequence", "role", "part"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name="role"),
        sa.Index(None, "person_id"),
    )


def _inbound_event() -> sa.Table:
    def where(condition: str) -> dict[str, Any]:
        return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}

    return _described(
        "inbound_event",
        text("channel"),
        text("account"),
        text("event", nullable=True),
        reference("conversation_id", "conversation"),
        integer("sequence"),
        text("person"),
        json("payload"),
        text("status", server_default="queued"),
        integer("runs", server_default=sa.text("0")),
        integer("forgiven_runs", server_default=sa.text("0")),
        integer("generation", server_default=sa.text("0")),
        json("saved_reply", nullable=True),
        flag("cancel_requested", sa.text("false")),
        text("error", nullable=True),
        moment("received_at"),
        moment("finished_at", nullable=True),
        sa.UniqueConstraint("tenant_id", "channel", "account", "event"),
        sa.UniqueConstraint("conversation_id", "sequence"),
        sa.CheckConstraint("status IN ('queued', 'done', 'failed', 'stopped', 'dead')", name="status"),
        sa.Index("ix_inbound_event_open", "conversation_id", **where("status = 'queued'")),
        sa.Index("ix_inbound_event_finished", "finished_at", **where("finished_at IS NOT NULL")),
    )
