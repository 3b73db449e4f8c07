"""The tickets of the settings' database, opened for a command."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qwendesk.cli.memory import opened as opened_memory

if TYPE_CHECKING:
    from qwendesk.desk.operators.operators import Operators
    from qwendesk.desk.tickets.approvals import TicketApprovals
    from qwendesk.desk.tickets.queries import TicketQueries
    from qwendesk.desk.tickets.records import Actor
    from qwendesk.desk.tickets.service import Tickets


@dataclass(frozen=True, slots=True)
class TicketDesk:
    """What commands about tickets use."""

    tickets: Tickets
    approvals: TicketApprovals
    queries: TicketQueries
    operators: Operators

    @property
    def program(self) -> Actor:
        """The actor of a command without an operator."""
        from qwendesk.desk.operators.audit import COMMAND_LINE
        from qwendesk.desk.tickets.records import Actor

        return Actor("api", None, COMMAND_LINE)

    async def operator(self, name: str) -> Actor:
        """Return an operator by the log-in name.

        Raises:
            InputError: there is none.
        """
        from qwendesk.desk.tickets.records import Actor

        account = await self.operators.accounts.named(name)
        return Actor.operator(account.id, account.display_name)

    async def audit_read(self, number: int) -> None:
        """Note in the audit log that a ticket was read."""
        from qwendesk.desk.operators.audit import AuditActor

        await self.operators.audit.add_read(AuditActor(), "ticket.read", f"ticket:{number}")


@asynccontextmanager
async def opened() -> AsyncIterator[TicketDesk]:
    """Open the database and the queue, without answering from it."""
    from qwendesk.desk.operators.operators import Operators
    from qwendesk.desk.runtime import DeskRuntime
    from qwendesk.settings import load_settings
    from qwendesk.wiring import ticket_rules

    settings = load_settings()
    async with opened_memory() as memory:
        runtime = DeskRuntime(memory.scope, settings.database, ticket_rules=ticket_rules(settings))
        await runtime.start()
        try:
            operators = Operators(memory.scope, settings.operators)
            yield TicketDesk(runtime.tickets, runtime.approvals, runtime.ticket_queries, operators)
        finally:
            await runtime.stop(0.0)
