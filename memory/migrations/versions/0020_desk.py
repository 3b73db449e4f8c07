"""The durable desk: accepted messages, deliveries, limits, who may talk, workers."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None

# Written out rather than imported: this step stays as it is when the tables change.
JSON = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
TABLES = ("desk_worker", "access", "rate_bucket", "outbound", "inbound_file", "inbound_event")


def upgrade() -> None:
    _inbound()
    _outbound()
    op.create_table(
        "rate_bucket",
        _text("key"),
        _tenant(),
        sa.Column("tokens", sa.Double, nullable=False),
        sa.Column("updated_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_rate_bucket"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_rate_bucket_tenant_id_tenant"),
    )
    _create(
        "access",
        _text("channel"),
        _text("account"),
        _text("person"),
        _text("display_name"),
        _text("state"),
        _text("role", server_default="person"),
        _text("code", nullable=True),
        _moment("expires_at", nullable=True),
        _moment("created_at"),
        sa.UniqueConstraint("channel", "account", "person", name="uq_access_channel_account_person"),
        sa.UniqueConstraint("code", name="uq_access_code"),
        sa.CheckConstraint("state IN ('waiting', 'allowed', 'denied')", name=op.f("ck_access_state")),
        sa.CheckConstraint("role IN ('person', 'operator', 'owner')", name=op.f("ck_access_role")),
    )
    _create(
        "desk_worker",
        _text("host"),
        sa.Column("process", sa.Integer, nullable=False),
        _moment("started_at"),
        _moment("seen_at"),
    )


def _inbound() -> None:
    _create(
        "inbound_event",
        _text("channel"),
        _text("account"),
        _text("event", nullable=True),
        _reference("inbound_event", "conversation_id", "conversation"),
        sa.Column("seq", sa.Integer, nullable=False),
        _text("person"),
        sa.Column("payload", JSON, nullable=False),
        _text("status", server_default="queued"),
        sa.Column("runs", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("pardoned", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("stop", sa.Boolean, nullable=False, server_default=sa.text("false")),
        _text("error", nullable=True),
        _moment("received_at"),
        _moment("finished_at", nullable=True),
        sa.UniqueConstraint("channel", "account", "event", name="uq_inbound_event_channel_account_event"),
        sa.UniqueConstraint("conversation_id", "seq", name="uq_inbound_event_conversation_id_seq"),
        sa.CheckConstraint(
            "status IN ('queued', 'done', 'failed', 'stopped', 'dead')", name=op.f("ck_inbound_event_status")
        ),
    )
    is_open = sa.text("status = 'queued'")
    op.create_index(
        "ix_inbound_event_open", "inbound_event", ["conversation_id"], sqlite_where=is_open, postgresql_where=is_open
    )
    _create(
        "inbound_file",
        _reference("inbound_file", "inbound_id", "inbound_event"),
        sa.Column("ordinal", sa.Integer, nullable=False),
        _text("kind"),
        _text("mime"),
        _text("name"),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
    op.create_index("ix_inbound_file_inbound_id", "inbound_file", ["inbound_id"])


def _outbound() -> None:
    _create(
        "outbound",
        _text("key"),
        _reference("outbound", "inbound_id", "inbound_event", nullable=True),
        _reference("outbound", "conversation_id", "conversation"),
        sa.Column("part", sa.Integer, nullable=False),
        _text("text"),
        _text("plain", server_default=""),
        _text("status"),
        _text("message_id", nullable=True),
        sa.Column("attempts", sa.Integer, nullable=False, server_default=sa.text("0")),
        _text("error", nullable=True),
        _moment("created_at"),
        _moment("sent_at", nullable=True),
        sa.UniqueConstraint("key", name="uq_outbound_key"),
        sa.CheckConstraint("status IN ('queued', 'sending', 'sent', 'failed')", name=op.f("ck_outbound_status")),
    )
    op.create_index("ix_outbound_inbound_id", "outbound", ["inbound_id"])
    op.create_index("ix_outbound_conversation_id_id", "outbound", ["conversation_id", "id"])
    failed = sa.text("status = 'failed'")
    op.create_index("ix_outbound_failed", "outbound", ["id"], sqlite_where=failed, postgresql_where=failed)


def downgrade() -> None:
    for table in TABLES:
        op.drop_table(table)


def _create(table: str, *items: Any) -> None:
    """Create a table with the columns that all tables have."""
    op.create_table(
        table,
        _text("id"),
        _tenant(),
        *items,
        sa.PrimaryKeyConstraint("id", name=f"pk_{table}"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=f"fk_{table}_tenant_id_tenant"),
    )


def _tenant() -> sa.Column[str]:
    return _text("tenant_id", server_default="default")


def _text(name: str, **options: Any) -> sa.Column[str]:
    return sa.Column(name, sa.Text, **{"nullable": False, **options})


def _moment(name: str, **options: Any) -> sa.Column[Any]:
    return sa.Column(name, MOMENT, **{"nullable": False, **options})


def _reference(table: str, name: str, to: str, **options: Any) -> sa.Column[str]:
    """Make a column whose row goes when the row it refers to goes."""
    key = sa.ForeignKey(f"{to}.id", name=f"fk_{table}_{name}_{to}", ondelete="CASCADE")
    return sa.Column(name, sa.Text, key, **{"nullable": False, **options})
