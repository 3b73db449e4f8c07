"""Documents keep notes on how they were read, and the version of their terms, which can be computed anew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

TRIGGER = (
    "CREATE TRIGGER kb_chunk_changed AFTER UPDATE OF terms ON kb_chunk BEGIN "
    "INSERT INTO kb_chunk_fts (kb_chunk_fts, rowid, terms) VALUES ('delete', old.id, old.terms); "
    "INSERT INTO kb_chunk_fts (rowid, terms) VALUES (new.id, new.terms); END"
)


def upgrade() -> None:
    op.add_column("kb_document", sa.Column("notes", sa.Text, nullable=False, server_default=""))
    op.add_column("kb_document", sa.Column("terms_version", sa.Integer, nullable=False, server_default=sa.text("1")))
    if op.get_context().dialect.name == "sqlite":
        op.execute(TRIGGER)


def downgrade() -> None:
    if op.get_context().dialect.name == "sqlite":
        op.execute("DROP TRIGGER kb_chunk_changed")
    op.drop_column("kb_document", "terms_version")
    op.drop_column("kb_document", "notes")
