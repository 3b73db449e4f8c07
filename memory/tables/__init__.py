"""The database tables; importing the package registers all of them in ``Base.metadata``."""

from qwendesk.memory.tables import (
    conversations,
    documents,
    facts,
    inbox,
    operators,
    reports,
    tickets,
    webhooks,
    workspace,
)

__all__ = ["conversations", "documents", "facts", "inbox", "operators", "reports", "tickets", "webhooks", "workspace"]
