"""Read and change a ticket within a transaction; each change stores an event in the same transaction."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, insert, select, update
from uuid_utils import uuid7

from qwendesk.desk.tickets.records import (
    PRIORITIES,
    TICKET_STATES,
    Actor,
    TicketConflict,
    TicketGone,
    TicketRecord,
    TicketState,
    ticket_columns,
    ticket_record,
)
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket, TicketEvent
from qwendesk.memory.tenancy import TenantConnection


def select_tickets() -> Select[Any]:
    """Return the query of tickets with their channel and their operator's name, for ``ticket_record``."""
    return (
        select(*ticket_columns())
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .outerjoin(Operator, Operator.id == Ticket.operator_id)
    )


async def read_ticket(connection: TenantConnection, id_: str) -> TicketRecord:
    """Return a ticket.

    Raises:
        TicketGone: there is none, or it was deleted.
    """
    row = (await connection.execute(select_tickets().where(Ticket.id == id_))).one_or_none()
    if row is None:
        raise TicketGone("There is no such ticket; it may have been deleted with its customer.")
    return ticket_record(row)


async def lock_conversation(connection: TenantConnection, id_: str) -> None:
    """Lock a conversation until the end of the transaction, as every transaction does that adds a message to it."""
    here = select(Conversation.id).where(Conversation.id == id_)
    await connection.execute(here.with_for_update(key_share=True))


async def lock_ticket(connection: TenantConnection, id_: str, *, with_conversation: bool = False) -> TicketRecord:
    """Lock a ticket until the end of the transaction and return it.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        id_: the ticket's id.
        with_conversation: lock its conversation first, as every transaction does that adds a message to it.

    Raises:
        TicketGone: there is none, or it was deleted.
    """
    if with_conversation:
        await lock_conversation(connection, (await read_ticket(connection, id_)).conversation_id)
    await connection.execute(select(Ticket.id).where(Ticket.id == id_).with_for_update(key_share=True))
    return await read_ticket(connection, id_)


async def change_ticket(
    connection: TenantConnection,
    ticket: TicketRecord,
    kind: str,
    actor: Actor,
    changes: dict[str, Any],
    *,
    reason: str = "",
    noted: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> TicketRecord:
    """Change a locked ticket, store the event, and return the ticket as it is now.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        ticket: the locked ticket.
        kind: kind of the event.
        actor: who changes it.
        changes: columns with their new values.
        reason: why, as a code or in words without personal data.
        noted: what the event keeps of it; None: the changed columns. No text of a message.
        at: when; None: now.
    """
    now = at or datetime.now(UTC)
    stored = {**changes, "updated_at": now, "version": ticket.version + 1}
    await connection.execute(update(Ticket).where(Ticket.id == ticket.id).values(**stored))
    kept = _noted(changes) if noted is None else noted
    await add_event(connection, ticket.id, kind, actor, reason=reason, changes=kept, at=now)
    return await read_ticket(connection, ticket.id)


async def add_event(
    connection: TenantConnection,
    ticket_id: str,
    kind: str,
    actor: Actor,
    *,
    reason: str = "",
    changes: dict[str, Any] | None = None,
    at: datetime | None = None,
) -> None:
    """Store an event of a ticket; from the first one on, an imported ticket is one of this desk."""
    row = {
        "id": str(uuid7()),
        "ticket_id": ticket_id,
        "kind": kind,
        "actor": actor.kind,
        "operator_id": actor.operator_id,
        "reason": reason or (actor.name if actor.kind == "rule" else ""),
        "changes": changes or {},
        "at": at or datetime.now(UTC),
    }
    await connection.execute(insert(TicketEvent), row)
    as_imported = (Ticket.id == ticket_id) & Ticket.is_untouched
    await connection.execute(update(Ticket).where(as_imported).values(is_untouched=False))


def require_state(ticket: TicketRecord, allowed: Collection[TicketState | str], action: str) -> None:
    """Check that a ticket can be changed.

    Raises:
        TicketConflict: it is in another state meanwhile.
    """
    if ticket.state not in allowed:
        expected = ", ".join(state for state in TICKET_STATES if state in allowed)
        raise TicketConflict(
            f"Ticket {ticket.number} is {ticket.state!r} and cannot be {action}; that is possible in: {expected}.",
            ticket.operator_name,
        )


_UNNOTED = ("delivery", "signals", "last_message_at", "last_from", "subject", "language")
"""Columns whose values an event does not keep: they may hold personal data, or change with each message."""


def _noted(changes: dict[str, Any]) -> dict[str, Any]:
    """Return the changes as an event keeps them: JSON values without a text of the customer."""
    kept = {name: value for name, value in changes.items() if name not in _UNNOTED}
    if "priority" in kept:
        kept["priority"] = PRIORITIES[kept["priority"]]
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in kept.items()}
