"""Documents keep notes on how they were read, and the version of their terms, which can be computed anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("kb_document", sa.Column("notes", sa.Text, nullable=False, server_default=""))
    op.add_column("kb_document", sa.Column("terms_version", sa.Integer, nullable=False, server_default=sa.text("1")))


def downgrade() -> None:
    op.drop_column("kb_document", "terms_version")
    op.drop_column("kb_document", "notes")
