"""Add imports from other help desks, and the names of writers without an account."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0008_imports"
down_revision = "0007_canned_answers"
branch_labels = None
depends_on = None

JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    op.add_column("message", sa.Column("author", sa.Text))
    op.add_column("ticket_note", sa.Column("author", sa.Text))
    op.add_column("ticket", sa.Column("is_imported", sa.Boolean, nullable=False, server_default=sa.false()))
    _create(
        "import_run",
        sa.Column("system", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("location", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("counts", JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("status IN ('running', 'done', 'stopped')", name="status"),
    )
    _create(
        "import_item",
        sa.Column("run_id", sa.Text, sa.ForeignKey("import_run.id", ondelete="CASCADE"), nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("person_id", sa.Text, sa.ForeignKey("person.id", ondelete="SET NULL")),
        sa.Column("ticket_id", sa.Text, sa.ForeignKey("ticket.id", ondelete="SET NULL")),
        sa.Column("last_message", sa.BigInteger),
        sa.Column("details", JSON, nullable=False, server_default=sa.text("'{}'")),
        sa.Column("imported_at", sa.DateTime(timezone=True), nullable=False),
        sa.UniqueConstraint("tenant_id", "source", "kind", "external_id"),
        sa.CheckConstraint("kind IN ('contact', 'ticket', 'article', 'canned')", name="kind"),
    )
    for column in ("run_id", "person_id", "ticket_id"):
        op.create_index(f"ix_import_item_{column}", "import_item", [column])


def downgrade() -> None:
    op.drop_table("import_item")
    op.drop_table("import_run")
    for table, column in (("ticket", "is_imported"), ("ticket_note", "author"), ("message", "author")):
        op.drop_column(table, column)


def _create(table: str, *items: Any) -> None:
    tenant = sa.Column("tenant_id", sa.Text, sa.ForeignKey("tenant.id"), nullable=False, server_default="default")
    op.create_table(table, sa.Column("id", sa.Text, primary_key=True, nullable=False), tenant, *items)
