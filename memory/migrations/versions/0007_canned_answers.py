"""Add canned answers and their texts in several languages."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, integer, json, moment, reference, text

revision = "0007_canned_answers"
down_revision = "0006_workspace"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(
        "canned_answer",
        text("shortcut"),
        text("language"),
        integer("version", server_default=sa.text("1")),
        moment("created_at"),
        moment("updated_at"),
        sa.UniqueConstraint("tenant_id", "shortcut"),
    )
    create(
        "canned_text",
        reference("answer_id", "canned_answer"),
        text("language"),
        text("text"),
        json("questions", server_default=sa.text("'[]'")),
        text("status"),
        integer("version"),
        json("doubts", server_default=sa.text("'[]'")),
        text("model", nullable=True),
        text("reviewed_by", nullable=True),
        moment("updated_at"),
        sa.UniqueConstraint("answer_id", "language"),
        sa.CheckConstraint("status IN ('source', 'machine', 'reviewed')", name="status"),
    )


def downgrade() -> None:
    op.drop_table("canned_text")
    op.drop_table("canned_answer")
