"""Conversations: who writes, what was said, how each turn went."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Written out rather than imported: this step stays as it is when the tables change.
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "tenant",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenant"),
    )
    op.execute("INSERT INTO tenant (id, name) VALUES ('default', 'Default')")
    _people()
    _conversations()
    _turns()


def _people() -> None:
    _create("person", _moment("created_at"))
    _create(
        "person_identity",
        _reference("person_identity", "person_id", "person"),
        _text("channel"),
        _text("account"),
        _text("external_user_id"),
        _moment("created_at"),
        sa.UniqueConstraint(
            "channel", "account", "external_user_id", name="uq_person_identity_channel_account_external_user_id"
        ),
    )
    op.create_index("ix_person_identity_person_id", "person_identity", ["person_id"])


def _conversations() -> None:
    _create(
        "conversation",
        _text("channel"),
        _text("account"),
        _text("external_id"),
        sa.Column("next_seq", sa.Integer, nullable=False),
        _text("title"),
        _text("mode", server_default="bot"),
        _text("locale", nullable=True),
        sa.Column("settings", JSON, nullable=False, server_default=sa.text("'{}'")),
        _moment("created_at"),
        _moment("updated_at"),
        sa.UniqueConstraint("channel", "account", "external_id", name="uq_conversation_channel_account_external_id"),
        sa.CheckConstraint(
            "mode IN ('bot', 'waiting', 'human', 'resolved', 'snoozed')", name=op.f("ck_conversation_mode")
        ),
    )
    op.create_index("ix_conversation_tenant_id_updated_at", "conversation", ["tenant_id", "updated_at"])
    _create(
        "message",
        _reference("message", "conversation_id", "conversation"),
        sa.Column("seq", sa.Integer, nullable=False),
        _text("role"),
        sa.Column("part", sa.Integer, nullable=False),
        _reference("message", "person_id", "person", nullable=True),
        _text("text"),
        sa.Column("parts", JSON),
        _text("model", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("conversation_id", "seq", "role", "part", name="uq_message_conversation_id_seq_role_part"),
        sa.CheckConstraint("role IN ('user', 'assistant')", name=op.f("ck_message_role")),
    )
    op.create_index("ix_message_person_id", "message", ["person_id"])
    _create(
        "attachment",
        _reference("attachment", "message_id", "message"),
        sa.Column("ordinal", sa.Integer, nullable=False),
        _text("kind"),
        _text("mime"),
        _text("name"),
        sa.Column("size", sa.Integer, nullable=False),
        _text("sha256"),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("message_id", "ordinal", name="uq_attachment_message_id_ordinal"),
    )


def _turns() -> None:
    _create(
        "turn",
        _reference("turn", "conversation_id", "conversation"),
        sa.Column("seq", sa.Integer, nullable=False),
        _reference("turn", "question_id", "message"),
        _text("status"),
        _text("error", nullable=True),
        _text("role", nullable=True),
        sa.Column("confidence", sa.Double),
        _text("model", nullable=True),
        _text("engine", nullable=True),
        sa.Column("receipt", JSON),
        _text("thinking", server_default=""),
        _moment("started_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("conversation_id", "seq", name="uq_turn_conversation_id_seq"),
        sa.UniqueConstraint("question_id", name="uq_turn_question_id"),
        sa.CheckConstraint("status IN ('running', 'done', 'failed', 'stopped')", name=op.f("ck_turn_status")),
    )
    running = sa.text("status = 'running'")
    op.create_index("ix_turn_running", "turn", ["conversation_id"], sqlite_where=running, postgresql_where=running)


def downgrade() -> None:
    for table in ("turn", "attachment", "message", "conversation", "person_identity", "person", "tenant"):
        op.drop_table(table)


def _create(table: str, *items: Any) -> None:
    """Create a table with the columns that all tables have."""
    op.create_table(
        table,
        _text("id"),
        _text("tenant_id", server_default="default"),
        *items,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=f"fk_{table}_tenant_id_tenant"),
    )


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, MOMENT, **{"nullable": False, **options})


def _reference(table: str, name: str, to: str, **options: Any) -> sa.Column[str]:
    """Make a column whose row goes when the row it refers to goes."""
    key = sa.ForeignKey(f"{to}.id", name=f"fk_{table}_{name}_{to}", ondelete="CASCADE")
    return sa.Column(name, sa.Text, key, **{"nullable": False, **options})
