"""The database tables; importing the package registers all of them in ``Base.metadata``."""

from qwendesk.memory.tables import (
    canned,
    conversations,
    documents,
    event_deliveries,
    facts,
    imports,
    inbox,
    operator_rooms,
    operators,
    reports,
    tickets,
    workspace,
)

__all__ = [
    "canned",
    "conversations",
    "documents",
    "event_deliveries",
    "facts",
    "imports",
    "inbox",
    "operator_rooms",
    "operators",
    "reports",
    "tickets",
    "workspace",
]
