"""Note open pages of operators without a stream, and tell texts of the desk apart among all tickets."""

from __future__ import annotations

from alembic import op

from qwendesk.memory.migrations.columns import moment

revision = "0013_open_pages"
down_revision = "0012_untouched_tickets"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("operator", moment("page_seen_at", nullable=True))
    # a text may have moved to another ticket since it was stored, so its own id tells it apart
    op.execute("UPDATE ticket_text SET key = 'desk:' || id || ':' || key WHERE key NOT LIKE 'told:%'")


def downgrade() -> None:
    op.drop_column("operator", "page_seen_at")
