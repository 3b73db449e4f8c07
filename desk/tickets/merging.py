"""Two tickets that are one matter, and one ticket that is two: move messages between tickets of a conversation."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select, update

from qwendesk.desk.tickets.changes import add_event, change_ticket
from qwendesk.desk.tickets.placement import add_ticket
from qwendesk.desk.tickets.records import Actor, TicketError, TicketRecord
from qwendesk.memory.conversations.turns import TITLE_CHARS
from qwendesk.memory.tables.conversations import Message
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import TicketNote
from qwendesk.memory.tenancy import TenantConnection


async def merge_tickets(
    connection: TenantConnection, ticket: TicketRecord, target: TicketRecord, actor: Actor
) -> TicketRecord:
    """Move the messages and notes of a ticket into another one, close it, and return the other one.

    Args:
        connection: the tenant's connection, in a transaction that has locked both tickets and their conversation.
        ticket: the ticket that is closed.
        target: the ticket that remains.
        actor: who merges them.

    Raises:
        TicketError: they are the same ticket, of different conversations, or the target was merged away.
    """
    if target.id == ticket.id or target.conversation_id != ticket.conversation_id:
        raise TicketError("Only two different tickets of one conversation can be merged.")
    if target.merged_into_id:
        raise TicketError(f"Ticket {target.number} was merged into another one itself; choose that one.")
    for table in (Message, InboundEvent, TicketNote):
        await connection.execute(update(table).where(table.ticket_id == ticket.id).values(ticket_id=target.id))
    now = datetime.now(UTC)
    closed = {"state": "resolved", "resolved_at": now, "merged_into_id": target.id, "waiting_since": None}
    await change_ticket(connection, ticket, "merged", actor, closed, at=now)
    changes = {
        "tags": list(dict.fromkeys((*target.tags, *ticket.tags))),
        "last_message_at": max(target.last_message_at, ticket.last_message_at),
    }
    return await change_ticket(
        connection, target, "merged_from", actor, changes, noted={"number": ticket.number}, at=now
    )


async def split_ticket(
    connection: TenantConnection, ticket: TicketRecord, actor: Actor, from_sequence: int, subject: str = ""
) -> TicketRecord:
    """Move the messages of a ticket from a number on into a new ticket with the same state and holder; return it.

    Args:
        connection: the tenant's connection, in a transaction that has locked the ticket and its conversation.
        ticket: the ticket.
        actor: who splits it.
        from_sequence: number of the first message that is moved.
        subject: subject of the new ticket; empty: the first words of its first message.

    Raises:
        TicketError: no message, or every message, would be moved.
    """
    moving = Message.sequence >= from_sequence
    count = select(func.count()).select_from(Message).where(Message.ticket_id == ticket.id)
    moved = (await connection.execute(count.where(moving))).scalar_one()
    total = (await connection.execute(count)).scalar_one()
    if not 0 < moved < total:
        raise TicketError(f"{moved} of {total} messages would be moved; choose a message after the ticket's first one.")
    asked = select(Message.text).where(Message.ticket_id == ticket.id, moving, Message.role == "user")
    first = (await connection.execute(asked.order_by(Message.sequence).limit(1))).scalar_one_or_none()
    now = datetime.now(UTC)
    new = await add_ticket(
        connection,
        actor,
        now,
        conversation_id=ticket.conversation_id,
        person_id=ticket.person_id,
        delivery=ticket.delivery.as_dict(),
        subject=subject.strip() or " ".join((first or ticket.subject).split())[:TITLE_CHARS],
        language=ticket.language,
        team=ticket.team,
        last_message_at=ticket.last_message_at,
        last_from=ticket.last_from,
    )
    for table in (Message, InboundEvent):
        here = (table.ticket_id == ticket.id) & (table.sequence >= from_sequence)
        await connection.execute(update(table).where(here).values(ticket_id=new.id))
    changes = {"state": ticket.state, "operator_id": ticket.operator_id, "waiting_since": ticket.waiting_since}
    await add_event(connection, ticket.id, "split", actor, changes={"number": new.number}, at=now)
    return await change_ticket(connection, new, "split_from", actor, changes, noted={"number": ticket.number}, at=now)
