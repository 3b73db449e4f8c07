"""The database tables; importing the package registers all of them in ``Base.metadata``."""

from qwendesk.memory.tables import (
    canned,
    conversations,
    documents,
    facts,
    imports,
    inbox,
    operators,
    reports,
    tickets,
    webhooks,
    workspace,
)

__all__ = [
    "canned",
    "conversations",
    "documents",
    "facts",
    "imports",
    "inbox",
    "operators",
    "reports",
    "tickets",
    "webhooks",
    "workspace",
]
