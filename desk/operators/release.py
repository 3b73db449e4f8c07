"""Take the tickets of an operator who does not answer any more from them: they wait for somebody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from uuid_utils import uuid7

from qwendesk.memory.tables.tickets import Ticket, TicketEvent
from qwendesk.memory.tenancy import TenantConnection


async def release_tickets(connection: TenantConnection, operator_id: str, reason: str) -> int:
    """Assign the open tickets of an operator to nobody, with an event each; return how many there were.

    Args:
        connection: the tenant's connection, in the transaction that changes the account.
        operator_id: the operator's id.
        reason: why, as a code.
    """
    now = datetime.now(UTC)
    theirs = (Ticket.operator_id == operator_id) & (Ticket.state != "resolved")
    held = select(Ticket.id, Ticket.state, Ticket.version, Ticket.waiting_since).where(theirs).order_by(Ticket.id)
    tickets = (await connection.execute(held.with_for_update(key_share=True))).all()
    for ticket in tickets:
        changes: dict[str, Any] = {"operator_id": None}
        if ticket.state != "snoozed":
            changes |= {"state": "waiting", "waiting_since": ticket.waiting_since or now}
        stored = {**changes, "updated_at": now, "version": ticket.version + 1, "is_untouched": False}
        await connection.execute(update(Ticket).where(Ticket.id == ticket.id).values(**stored))
        noted = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in changes.items()}
        event = {"id": str(uuid7()), "ticket_id": ticket.id, "kind": "assigned", "actor": "rule", "reason": reason}
        await connection.execute(insert(TicketEvent), {**event, "changes": noted, "at": now})
    return len(tickets)
