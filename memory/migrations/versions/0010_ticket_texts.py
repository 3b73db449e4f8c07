"""Add what the desk itself tells the customers of tickets."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, index, integer, moment, reference, text

revision = "0010_ticket_texts"
down_revision = "0009_operator_rooms"
branch_labels = None
depends_on = None


def upgrade() -> None:
    create(
        "ticket_text",
        reference("ticket_id", "ticket"),
        text("key"),
        integer("sequence"),
        text("text"),
        moment("created_at"),
        sa.UniqueConstraint("ticket_id", "key"),
    )
    index("ticket_text", "ticket_id")


def downgrade() -> None:
    op.drop_table("ticket_text")
