"""Add the turns that wait for the approval of a risky call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, index, json, moment, reference

revision = "0002_pending_turn"
down_revision = "0001_first"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(
        "pending_turn",
        reference("turn_id", "turn", unique=True),
        reference("person_id", "person"),
        json("calls"),
        sa.Column("state", sa.LargeBinary, nullable=False),
        moment("expires_at"),
    )
    index("pending_turn", "person_id")


def downgrade() -> None:
    op.drop_table("pending_turn")
