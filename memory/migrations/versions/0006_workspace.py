"""Add what operators keep for their work: saved views, macros, drafts, read marks, changes to be undone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, flag, index, json, moment, reference, text

revision = "0006_workspace"
down_revision = "0005_webhooks"
branch_labels = None
depends_on = None

TABLES = ("bulk_change", "ticket_read", "reply_draft", "macro", "saved_view")


def upgrade() -> None:
    create(
        "saved_view",
        reference("operator_id", "operator"),
        text("name"),
        json("query"),
        flag("is_shared", sa.false()),
        moment("created_at"),
        sa.UniqueConstraint("tenant_id", "operator_id", "name"),
    )
    create(
        "macro",
        reference("operator_id", "operator", nullable=True, ondelete="SET NULL"),
        text("name"),
        json("steps"),
        text("text"),
        moment("created_at"),
        sa.UniqueConstraint("tenant_id", "name"),
    )
    create(
        "reply_draft",
        reference("ticket_id", "ticket"),
        reference("operator_id", "operator"),
        text("kind"),
        text("text"),
        moment("updated_at"),
        sa.UniqueConstraint("ticket_id", "operator_id", "kind"),
        sa.CheckConstraint("kind IN ('reply', 'note')", name="kind"),
    )
    create(
        "ticket_read",
        reference("ticket_id", "ticket"),
        reference("operator_id", "operator"),
        moment("read_at"),
        sa.UniqueConstraint("ticket_id", "operator_id"),
    )
    create(
        "bulk_change",
        reference("operator_id", "operator"),
        json("before"),
        moment("created_at"),
    )
    for table in TABLES:
        index(table, "operator_id")
    for table in ("reply_draft", "ticket_read"):
        index(table, "ticket_id")


def downgrade() -> None:
    for name in TABLES:
        op.drop_table(name)
