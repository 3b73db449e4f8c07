"""Add the turns that wait for the approval of a risky call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002_pending_turn"
down_revision = "0001_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pending_turn",
        sa.Column("id", sa.Text, primary_key=True, nullable=False),
        sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default"),
        _reference("turn_id", "turn", unique=True),
        _reference("person_id", "person"),
        sa.Column("calls", sa.JSON().with_variant(JSONB(), "postgresql"), nullable=False),
        sa.Column("state", sa.LargeBinary, nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index(op.f("ix_pending_turn_person_id"), "pending_turn", ["person_id"])


def downgrade() -> None:
    op.drop_table("pending_turn")


def _reference(name: str, table: str, *, unique: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text, sa.ForeignKey(f"{table}.id", ondelete="CASCADE"), nullable=False, unique=unique)
