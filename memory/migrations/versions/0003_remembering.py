"""Remembering: tool calls, summaries, facts, links between channels, the audit; keys that tenants do not share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
LIVE = sa.text("valid_to IS NULL")
KEYS = {
    "conversation": ("channel", "account", "external_id"),
    "person_identity": ("channel", "account", "external_user_id"),
}
"""What names a row, in each tenant anew."""


def upgrade() -> None:
    op.add_column("person", sa.Column("remembers", sa.Boolean, nullable=False, server_default=sa.true()))
    op.add_column("conversation", sa.Column("learned_seq", sa.Integer, nullable=False, server_default=sa.text("0")))
    for table, columns in KEYS.items():
        _rekey(table, old=columns, new=("tenant_id", *columns))
    _create(
        "tool_call",
        _reference("tool_call", "turn_id", "turn"),
        sa.Column("ordinal", sa.Integer, nullable=False),
        _text("name"),
        sa.Column("arguments", JSON, nullable=False),
        sa.Column("ok", sa.Boolean, nullable=False),
        _text("result"),
        sa.Column("duration_ms", sa.Double, nullable=False),
        sa.UniqueConstraint("turn_id", "ordinal", name="uq_tool_call_turn_id_ordinal"),
    )
    _create(
        "conversation_summary",
        _reference("conversation_summary", "conversation_id", "conversation"),
        sa.Column("to_seq", sa.Integer, nullable=False),
        _text("text"),
        _text("model"),
        _moment("created_at"),
        sa.UniqueConstraint("conversation_id", "to_seq", name="uq_conversation_summary_conversation_id_to_seq"),
    )
    _facts()
    _links()
    _create("audit", _moment("at"), _text("action"), _text("subject"), sa.Column("counts", JSON, nullable=False))
    op.create_index("ix_audit_tenant_id_at", "audit", ["tenant_id", "at"])


def _facts() -> None:
    _create(
        "fact",
        _reference("fact", "person_id", "person"),
        _text("namespace", server_default=""),
        _text("key"),
        _text("value"),
        sa.Column("data", JSON),
        _text("category"),
        sa.Column("confidence", sa.Double, nullable=False),
        _reference("fact", "source_message_id", "message", nullable=True, ondelete="SET NULL"),
        _moment("valid_from"),
        _moment("valid_to", nullable=True),
        _reference(
            "fact",
            "superseded_by",
            "fact",
            nullable=True,
            ondelete="SET NULL",
            **{"deferrable": True, "initially": "DEFERRED"},
        ),
    )
    live: dict[str, Any] = {"sqlite_where": LIVE, "postgresql_where": LIVE}
    op.create_index("uq_fact_live", "fact", ["tenant_id", "namespace", "key", "person_id"], unique=True, **live)
    op.create_index("ix_fact_newest", "fact", ["person_id", "namespace", "id"])
    for column in ("source_message_id", "superseded_by"):
        op.create_index(f"ix_fact_{column}", "fact", [column])


def _links() -> None:
    _create(
        "link_code",
        _text("digest"),
        _reference("link_code", "owner_id", "person_identity"),
        _reference("link_code", "other_id", "person_identity", nullable=True),
        sa.Column("owner_entered", sa.Boolean, nullable=False),
        _moment("expires_at"),
        sa.UniqueConstraint("tenant_id", "digest", name="uq_link_code_tenant_id_digest"),
    )
    for column in ("owner_id", "other_id"):
        op.create_index(f"ix_link_code_{column}", "link_code", [column])


def downgrade() -> None:
    for table in ("audit", "link_code", "fact", "conversation_summary", "tool_call"):
        op.drop_table(table)
    for table, columns in KEYS.items():
        _rekey(table, old=("tenant_id", *columns), new=columns)
    with op.batch_alter_table("conversation", copy_from=_conversation(KEYS["conversation"])) as batch:
        batch.drop_column("learned_seq")
    with op.batch_alter_table("person") as batch:
        batch.drop_column("remembers")


def _rekey(table: str, *, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Change a table's unique key; SQLite needs the whole table written anew, so it is described in full."""
    described = {"conversation": _conversation, "person_identity": _identity}[table](old)
    with op.batch_alter_table(table, copy_from=described) as batch:
        batch.drop_constraint(f"uq_{table}_{'_'.join(old)}", type_="unique")
        batch.create_unique_constraint(f"uq_{table}_{'_'.join(new)}", list(new))


def _conversation(key: tuple[str, ...]) -> sa.Table:
    return _described(
        "conversation",
        *map(_text, ("channel", "account", "external_id")),
        sa.Column("next_seq", sa.Integer, nullable=False),
        _text("title"),
        _text("mode", server_default="bot"),
        _text("locale", nullable=True),
        sa.Column("settings", JSON, nullable=False, server_default=sa.text("'{}'")),
        _moment("created_at"),
        _moment("updated_at"),
        sa.Column("learned_seq", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.UniqueConstraint(*key, name=f"uq_conversation_{'_'.join(key)}"),
        sa.CheckConstraint(
            "mode IN ('bot', 'waiting', 'human', 'resolved', 'snoozed')", name=op.f("ck_conversation_mode")
        ),
        sa.Index("ix_conversation_tenant_id_updated_at", "tenant_id", "updated_at"),
    )


def _identity(key: tuple[str, ...]) -> sa.Table:
    return _described(
        "person_identity",
        _reference("person_identity", "person_id", "person"),
        *map(_text, ("channel", "account", "external_user_id")),
        _moment("created_at"),
        sa.UniqueConstraint(*key, name=f"uq_person_identity_{'_'.join(key)}"),
        sa.Index("ix_person_identity_person_id", "person_id"),
    )


def _described(table: str, *items: Any) -> sa.Table:
    return sa.Table(table, sa.MetaData(), *_shared(table), *items)


def _create(table: str, *items: Any) -> None:
    op.create_table(table, *_shared(table), *items)


def _shared(table: str) -> tuple[Any, ...]:
    """Give the columns that all tables have."""
    return (
        _text("id"),
        _text("tenant_id", server_default="default"),
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=f"fk_{table}_tenant_id_tenant"),
    )


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, MOMENT, **{"nullable": False, **options})


def _reference(
    table: str, name: str, to: str, *, nullable: bool = False, ondelete: str = "CASCADE", **options: Any
) -> sa.Column[str]:
    """Make a column that refers to a row, and goes or is emptied when that row goes."""
    key = sa.ForeignKey(f"{to}.id", name=f"fk_{table}_{name}_{to}", ondelete=ondelete, **options)
    return sa.Column(name, sa.Text, key, nullable=nullable)
