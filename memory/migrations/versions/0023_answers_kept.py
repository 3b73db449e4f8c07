"""A message that is tried again gets a new answer; what is said without a model is kept; old rows are found fast."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("inbound_event", sa.Column("generation", sa.Integer, nullable=False, server_default=sa.text("0")))
    op.add_column("inbound_event", sa.Column("verdict", JSON))
    finished = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "ix_inbound_event_finished",
        "inbound_event",
        ["finished_at"],
        sqlite_where=finished,
        postgresql_where=finished,
    )


def downgrade() -> None:
    op.drop_index("ix_inbound_event_finished", "inbound_event")
    op.drop_column("inbound_event", "verdict")
    op.drop_column("inbound_event", "generation")
