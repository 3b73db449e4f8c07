"""Add imports from other help desks, and the names of writers without an account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import create, flag, index, json, moment, reference, text

revision = "0008_imports"
down_revision = "0007_canned_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("message", text("author", nullable=True))
    op.add_column("ticket_note", text("author", nullable=True))
    op.add_column("ticket", flag("is_imported", sa.false()))
    create(
        "import_run",
        text("system"),
        text("source"),
        text("location"),
        text("status"),
        json("counts", server_default=sa.text("'{}'")),
        moment("started_at"),
        moment("finished_at", nullable=True),
        sa.CheckConstraint("status IN ('running', 'done', 'stopped')", name="status"),
    )
    create(
        "import_item",
        reference("run_id", "import_run"),
        text("source"),
        text("kind"),
        text("external_id"),
        reference("person_id", "person", nullable=True, ondelete="SET NULL"),
        reference("ticket_id", "ticket", nullable=True, ondelete="SET NULL"),
        sa.Column("last_message", sa.BigInteger),
        json("details", server_default=sa.text("'{}'")),
        moment("imported_at"),
        sa.UniqueConstraint("tenant_id", "source", "kind", "external_id"),
        sa.CheckConstraint("kind IN ('contact', 'ticket', 'article', 'canned')", name="kind"),
    )
    for column in ("run_id", "person_id", "ticket_id"):
        index("import_item", column)


def downgrade() -> None:
    op.drop_table("import_item")
    op.drop_table("import_run")
    for table, column in (("ticket", "is_imported"), ("ticket_note", "author"), ("message", "author")):
        op.drop_column(table, column)
