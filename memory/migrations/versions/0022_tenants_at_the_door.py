"""What is one message, and who is one guest, is so for each tenant."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
_UNIQUE = {"inbound_event": ["channel", "account", "event"], "access": ["channel", "account", "person"]}


def upgrade() -> None:
    for table, columns in _UNIQUE.items():
        _change(table, old=columns, new=["tenant_id", *columns])


def downgrade() -> None:
    for table, columns in _UNIQUE.items():
        _change(table, old=["tenant_id", *columns], new=columns)


def _change(table: str, *, old: list[str], new: list[str]) -> None:
    # SQLite writes a table anew to change a constraint; as it is described here, no database has to be read for that
    described = {"inbound_event": _inbound_event, "access": _access}[table](old)
    with op.batch_alter_table(table, copy_from=described) as batch:
        batch.drop_constraint(_name(table, old), type_="unique")
        batch.create_unique_constraint(_name(table, new), new)


def _inbound_event(unique: list[str]) -> sa.Table:
    is_open = sa.text("status = 'queued'")
    return _table(
        "inbound_event",
        unique,
        *_texts("channel", "account"),
        sa.Column("event", sa.Text),
        sa.Column("conversation_id", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        *_texts("person"),
        sa.Column("payload", JSON, nullable=False),
        sa.Column("status", sa.Text, nullable=False, server_default="queued"),
        sa.Column("runs", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("pardoned", sa.Integer, nullable=False, server_default=sa.text("0")),
        sa.Column("stop", sa.Boolean, nullable=False, server_default=sa.text("false")),
        sa.Column("error", sa.Text),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.ForeignKeyConstraint(
            ["conversation_id"],
            ["conversation.id"],
            name="fk_inbound_event_conversation_id_conversation",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("conversation_id", "seq", name="uq_inbound_event_conversation_id_seq"),
        _check("inbound_event", "status", "status IN ('queued', 'done', 'failed', 'stopped', 'dead')"),
        sa.Index("ix_inbound_event_open", "conversation_id", sqlite_where=is_open, postgresql_where=is_open),
    )


def _access(unique: list[str]) -> sa.Table:
    return _table(
        "access",
        unique,
        *_texts("channel", "account", "person", "display_name", "state"),
        sa.Column("role", sa.Text, nullable=False, server_default="person"),
        sa.Column("code", sa.Text),
        sa.Column("expires_at", MOMENT),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.UniqueConstraint("code", name="uq_access_code"),
        _check("access", "state", "state IN ('waiting', 'allowed', 'denied')"),
        _check("access", "role", "role IN ('person', 'operator', 'owner')"),
    )


def _table(name: str, unique: list[str], *parts: Any) -> sa.Table:
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False, server_default="default"),
        *parts,
        sa.PrimaryKeyConstraint("id", name=f"pk_{name}"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name=f"fk_{name}_tenant_id_tenant"),
        sa.UniqueConstraint(*unique, name=_name(name, unique)),
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _check(table: str, name: str, condition: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(condition, name=op.f(f"ck_{table}_{name}"))


def _name(table: str, columns: list[str]) -> str:
    return f"uq_{table}_{'_'.join(columns)}"
