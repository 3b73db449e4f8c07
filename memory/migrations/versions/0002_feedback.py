"""Feedback: what people thought of an answer."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("tenant_id", sa.Text, nullable=False, server_default="default"),
        sa.Column("turn_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text),
        sa.Column("rating", sa.Integer, nullable=False),
        sa.Column("wished_role", sa.Text),
        sa.Column("wished_model", sa.Text),
        sa.Column("comment", sa.Text),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_feedback"),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenant.id"], name="fk_feedback_tenant_id_tenant"),
        sa.ForeignKeyConstraint(["turn_id"], ["turn.id"], name="fk_feedback_turn_id_turn", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name="fk_feedback_person_id_person", ondelete="CASCADE"),
        sa.CheckConstraint("rating IN (1, -1)", name=op.f("ck_feedback_rating")),
    )
    op.create_index("ix_feedback_turn_id", "feedback", ["turn_id"])
    op.create_index("ix_feedback_person_id", "feedback", ["person_id"])


def downgrade() -> None:
    op.drop_table("feedback")
