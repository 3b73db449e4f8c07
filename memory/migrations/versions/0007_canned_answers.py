"""Add canned answers and their texts in several languages."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0007_canned_answers"
down_revision = "0006_workspace"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    _create(
        "canned_answer",
        sa.Column("shortcut", sa.Text, nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False, server_default=sa.text("1")),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("tenant_id", "shortcut"),
    )
    _create(
        "canned_text",
        sa.Column("answer_id", sa.Text, sa.ForeignKey("canned_answer.id", ondelete="CASCADE"), nullable=False),
        sa.Column("language", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("questions", JSON, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("doubts", JSON, nullable=False, server_default=sa.text("'[]'")),
        sa.Column("model", sa.Text),
        sa.Column("reviewed_by", sa.Text),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("answer_id", "language"),
        sa.CheckConstraint("status IN ('source', 'machine', 'reviewed')", name="status"),
    )


def downgrade() -> None:
    op.drop_table("canned_text")
    op.drop_table("canned_answer")


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, sa.Column("id", sa.Text, primary_key=True, nullable=False), tenant, *items)
