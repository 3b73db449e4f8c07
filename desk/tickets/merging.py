"""Two tickets that are one matter, and one ticket that is two: move messages between tickets of a conversation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import aliased

from qwendesk.desk.tickets.changes import add_event, change_ticket, lock_ticket
from qwendesk.desk.tickets.placement import add_ticket
from qwendesk.desk.tickets.records import PRIORITIES, Actor, TicketError, TicketRecord, TicketState
from qwendesk.memory.conversations.turns import TITLE_CHARS
from qwendesk.memory.tables.conversations import Message
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import Ticket, TicketApproval, TicketEvent, TicketNote, TicketText
from qwendesk.memory.tables.workspace import ReplyDraft
from qwendesk.memory.tenancy import TenantConnection

_BY_STRENGTH: tuple[TicketState, ...] = ("resolved", "bot", "snoozed", "waiting", "human")
"""States, the one that is kept of two merged tickets last."""


async def merge_tickets(
    connection: TenantConnection, ticket: TicketRecord, target: TicketRecord, actor: Actor
) -> TicketRecord:
    """Move what a ticket consists of into another one, close it, and return the other one.

    Args:
        connection: the tenant's connection, in a transaction that has locked the ticket and its conversation.
        ticket: the ticket that is closed.
        target: the ticket that remains, as it was read before.
        actor: who merges them.

    Raises:
        TicketError: they are the same ticket, of different conversations, or the target was merged away.
    """
    if target.id == ticket.id or target.conversation_id != ticket.conversation_id:
        raise TicketError("Only two different tickets of one conversation can be merged.")
    target = await lock_ticket(connection, target.id)
    if target.merged_into_id:
        raise TicketError(f"Ticket {target.number} was merged into another one itself; choose that one.")
    for table in (Message, InboundEvent, TicketNote, TicketApproval, TicketText):
        await connection.execute(update(table).where(table.ticket_id == ticket.id).values(ticket_id=target.id))
    await _move_drafts(connection, ticket, target)
    now = datetime.now(UTC)
    closed = {
        "state": "resolved",
        "resolved_at": now,
        "merged_into_id": target.id,
        "waiting_since": None,
        "snoozed_until": None,
    }
    await change_ticket(connection, ticket, "merged", actor, closed, at=now)
    changes = merged_columns(ticket, target)
    noted = {"number": ticket.number, "state": changes["state"], "operator_id": changes["operator_id"]}
    return await change_ticket(connection, target, "merged_from", actor, changes, noted=noted, at=now)


def merged_columns(ticket: TicketRecord, target: TicketRecord) -> dict[str, Any]:
    """Return the columns of a ticket that gets the messages of another one.

    It has the state and the holder of the one with which people have more to do, so that nobody who waits is dropped.
    """
    one, other = sorted((target, ticket), key=lambda each: -_BY_STRENGTH.index(each.state))
    newest = max(target, ticket, key=lambda each: each.last_message_at)
    return {
        "state": one.state,
        "operator_id": one.operator_id or (other.operator_id if one.state == "waiting" else None),
        "waiting_since": _first(target.waiting_since, ticket.waiting_since),
        "snoozed_until": one.snoozed_until,
        "resolved_at": one.resolved_at,
        "reason": one.reason or other.reason,
        "signals": {**other.signals, **one.signals},
        "priority": max(PRIORITIES.index(target.priority), PRIORITIES.index(ticket.priority)),
        "team": one.team or other.team,
        "tags": list(dict.fromkeys((*target.tags, *ticket.tags))),
        "fields": {**ticket.fields, **target.fields},
        "first_response_at": _first(target.first_response_at, ticket.first_response_at),
        "person_id": target.person_id or ticket.person_id,
        "language": newest.language or target.language,
        "delivery": newest.delivery.as_dict(),
        "last_message_at": newest.last_message_at,
        "last_from": newest.last_from,
    }


def _first(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time), default=None)


async def _move_drafts(connection: TenantConnection, ticket: TicketRecord, target: TicketRecord) -> None:
    """Move what operators have begun to write, below what they have begun to write in the other ticket."""
    theirs = aliased(ReplyDraft)
    both = (
        select(ReplyDraft.id, ReplyDraft.text, theirs.id.label("moved"), theirs.text.label("more"))
        .join(theirs, (theirs.operator_id == ReplyDraft.operator_id) & (theirs.kind == ReplyDraft.kind))
        .where(ReplyDraft.ticket_id == target.id, theirs.ticket_id == ticket.id)
    )
    for row in (await connection.execute(both)).all():
        text = "\n\n".join(filter(None, (row.text, row.more)))
        await connection.execute(update(ReplyDraft).where(ReplyDraft.id == row.id).values(text=text))
        await connection.execute(delete(ReplyDraft).where(ReplyDraft.id == row.moved))
    left = update(ReplyDraft).where(ReplyDraft.ticket_id == ticket.id).values(ticket_id=target.id)
    await connection.execute(left)


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
        priority=PRIORITIES.index(ticket.priority),
        tags=list(ticket.tags),
        reason=ticket.reason,
        last_message_at=ticket.last_message_at,
        last_from=ticket.last_from,
    )
    for table in (Message, InboundEvent, TicketApproval, TicketText):
        here = (table.ticket_id == ticket.id) & (table.sequence >= from_sequence)
        await connection.execute(update(table).where(here).values(ticket_id=new.id))
    await _move_events(connection, ticket, new, from_sequence)
    await connection.execute(update(Ticket).where(Ticket.id == ticket.id).values(**await _last(connection, ticket)))
    await add_event(connection, ticket.id, "split", actor, changes={"number": new.number}, at=now)
    kept = ("state", "operator_id", "waiting_since", "snoozed_until", "resolved_at")
    changes = {name: getattr(ticket, name) for name in kept} | await _last(connection, new)
    noted = {"number": ticket.number, "state": ticket.state, "operator_id": ticket.operator_id}
    return await change_ticket(connection, new, "split_from", actor, changes, noted=noted, at=now)


async def _move_events(
    connection: TenantConnection, ticket: TicketRecord, new: TicketRecord, from_sequence: int
) -> None:
    """Move the events of the messages that were moved, such as that they were answered."""
    events = select(TicketEvent.id, TicketEvent.changes).where(TicketEvent.ticket_id == ticket.id)
    found = (await connection.execute(events)).all()
    moved = [row.id for row in found if (row.changes.get("sequence") or 0) >= from_sequence]
    await connection.execute(update(TicketEvent).where(TicketEvent.id.in_(moved)).values(ticket_id=new.id))


async def _last(connection: TenantConnection, ticket: TicketRecord) -> dict[str, Any]:
    """Return the columns of a ticket that its messages and the events of its replies set."""
    written = select(Message.created_at, Message.role).where(Message.ticket_id == ticket.id)
    newest = (await connection.execute(written.order_by(Message.sequence.desc(), Message.role).limit(1))).one()
    replied = (TicketEvent.ticket_id == ticket.id) & (TicketEvent.kind == "replied")
    first = (await connection.execute(select(func.min(TicketEvent.at)).where(replied))).scalar_one()
    writers = {"user": "customer", "assistant": "bot", "operator": "operator"}
    return {"first_response_at": first, "last_message_at": newest.created_at, "last_from": writers[newest.role]}
