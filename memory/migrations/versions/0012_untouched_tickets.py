"""Mark imported tickets that nobody has touched here, and runs of imports that were undone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from qwendesk.memory.migrations.columns import flag, moment

revision = "0012_untouched_tickets"
down_revision = "0011_ticket_approvals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ticket", flag("is_untouched", sa.false()))
    op.execute(
        "UPDATE ticket SET is_untouched = is_imported WHERE version = 1"
        " AND NOT EXISTS (SELECT 1 FROM ticket_event WHERE ticket_event.ticket_id = ticket.id)"
    )
    op.add_column("import_run", moment("undone_at", nullable=True))


def downgrade() -> None:
    op.drop_column("import_run", "undone_at")
    op.drop_column("ticket", "is_untouched")
