"""An answer of the bot that a person's takeover stops: why a turn stopped, and what is kept of its answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import ColumnElement, delete, exists, func, null, select, update

from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.desk.inbox.repository import OPEN, ClaimedMessage, conversation_key, key_of
from qwendesk.desk.tickets.records import TicketRecord, is_set_aside
from qwendesk.desk.tickets.sending import told_key
from qwendesk.memory.conversations.turns import Turns
from qwendesk.memory.tables.conversations import Message, PendingTurn, Turn
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tables.tickets import Ticket, TicketApproval, TicketText
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase

StopCause = Literal["customer", "takeover", "handed back"]
"""Why a turn was stopped; ``handed back``: by a takeover that ended at once, so that the turn may run again."""


async def stop_bot(connection: TenantConnection, ticket: TicketRecord, spared: str = "") -> list[str]:
    """Ask the turns of a ticket's open messages to stop if the bot is to be silent now; return their ids.

    A ticket that is resolved or snoozed lets them end: nobody else answers what the customer has asked.
    """
    state = select(Ticket.state).where(Ticket.id == ticket.id)
    if (await connection.execute(state)).scalar_one() not in ("waiting", "human"):
        return []
    open_ = (*_open_messages(ticket), InboundEvent.id != spared)
    statement = update(InboundEvent).where(*open_).values(cancel_requested=True).returning(InboundEvent.id)
    return list((await connection.execute(statement)).scalars())


async def let_bot_answer(connection: TenantConnection, ticket: TicketRecord) -> None:
    """Take back that the turns of a ticket's open messages are to stop: none of them has ended yet."""
    statement = update(InboundEvent).where(*_open_messages(ticket)).values(cancel_requested=False)
    await connection.execute(statement)


async def answer_last_message(connection: TenantConnection, enqueue: Enqueue, ticket: TicketRecord) -> bool:
    """Enqueue the customer's last message again if neither a person nor the desk has answered it; False: one has.

    Args:
        connection: the tenant's connection, in a transaction that writes and has locked the ticket's conversation.
        enqueue: adds it to the queue.
        ticket: the ticket, which the bot answers again.
    """
    event, done = InboundEvent, Turn.status == "done"
    columns = (event.id, event.sequence, event.source, event.status)
    # commands and pressed buttons are no part of the conversation
    said = exists().where(
        Message.conversation_id == event.conversation_id, Message.sequence == event.sequence, Message.role == "user"
    )
    newest = select(*columns).where(event.ticket_id == ticket.id, (event.source == "operator") | said)
    row = (await connection.execute(newest.order_by(event.sequence.desc()).limit(1))).one_or_none()
    if row is None or row.source != "customer" or row.status != "done":
        return False
    turn = (Turn.conversation_id == ticket.conversation_id) & (Turn.sequence == row.sequence)
    told = (TicketText.ticket_id == ticket.id) & (TicketText.key == told_key(row.id))
    # decided, so that its calls may have been made
    gone_on = (TicketApproval.status.in_(["decided", "done"])) | TicketApproval.reason.in_(["interrupted", "failed"])
    decided = (TicketApproval.ticket_id == ticket.id) & (TicketApproval.sequence == row.sequence) & gone_on
    answered = select(
        exists(Turn.id).where(turn, done), exists(TicketText.id).where(told), exists(TicketApproval.id).where(decided)
    )
    if any((await connection.execute(answered)).one()):
        return False
    renewed = {
        "status": "queued",
        "finished_at": None,
        "error": None,
        "saved_reply": null(),
        "cancel_requested": False,
        "forgiven_runs": event.runs,
        # a new generation has new delivery keys
        "generation": event.generation + 1,
    }
    await connection.execute(update(event).where(event.id == row.id).values(**renewed))
    # behind what the customer was told with the hand-back; a repair of the queue puts it into the message's own place
    last = select(func.max(event.sequence)).where(event.conversation_id == ticket.conversation_id)
    place = (await connection.execute(last)).scalar_one() + 1
    await connection.raw.run_sync(enqueue, row.id, ticket.conversation_id, place)
    return True


async def stop_cause(connection: TenantConnection, claimed: ClaimedMessage) -> StopCause:
    """Return why the turn of a message was stopped."""
    later = exists().where(
        InboundEvent.ticket_id == Ticket.id,
        InboundEvent.source == "operator",
        InboundEvent.sequence > (claimed.inbound.sequence or 0),
    )
    statement = (
        select(Ticket.state, Ticket.operator_id, InboundEvent.cancel_requested, later.correlate(Ticket))
        .join(Ticket, Ticket.id == InboundEvent.ticket_id)
        .where(InboundEvent.id == claimed.id)
    )
    found = (await connection.execute(statement)).one_or_none()
    if found is None:
        return "customer"
    state, operator_id, is_cancelled, is_answered_by_person = found
    if is_set_aside(state, operator_id) and not (is_cancelled or is_answered_by_person):
        return "handed back"
    if state != "bot" or (is_answered_by_person and not is_cancelled):
        return "takeover"
    return "customer" if is_cancelled else "handed back"


async def drop_answer(connection: TenantConnection, claimed: ClaimedMessage, reason: str, shown: str = "") -> None:
    """Close a message's turn as stopped, and keep of its answer what the customer has got.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        claimed: the message.
        reason: why its answer is not sent.
        shown: what the customer has got of it.
    """
    said = (Message.conversation_id == claimed.conversation_id) & (Message.sequence == claimed.inbound.sequence)
    said &= Message.role == "assistant"
    if shown:
        await connection.execute(update(Message).where(said).values(text=shown))
    else:
        await connection.execute(delete(Message).where(said))
    turn = (Turn.conversation_id == claimed.conversation_id) & (Turn.sequence == claimed.inbound.sequence)
    pending = PendingTurn.turn_id.in_(select(Turn.id).where(turn))
    await connection.execute(delete(PendingTurn).where(pending))
    await connection.execute(update(Turn).where(turn).values(status="stopped", error=reason))


async def withdraw_answer(connection: TenantConnection, claimed: ClaimedMessage, reason: str) -> None:
    """Drop what is unsent of a message's answer; a part that was posted while it was written counts as sent."""
    row = OutboundMessage
    parts = select(row.plain, row.text).where(row.inbound_id == claimed.id, row.message_id.is_not(None))
    parts = parts.where(row.key.startswith(key_of(claimed, 0)[:-1], autoescape=True)).order_by(row.part)
    shown = "\n\n".join(plain or text for plain, text in await connection.execute(parts))
    unsent = (row.inbound_id == claimed.id) & row.status.in_(["queued", "sending"])
    await connection.execute(delete(row).where(unsent, row.message_id.is_(None)))
    await connection.execute(update(row).where(unsent).values(status="sent", sent_at=datetime.now(UTC)))
    await drop_answer(connection, claimed, reason, shown)


async def store_unanswered(database: TenantDatabase, connection: TenantConnection, claimed: ClaimedMessage) -> None:
    """Store a customer's message that the bot does not answer in the conversation, once.

    Args:
        database: the tenant's view of the database.
        connection: the tenant's connection, in a transaction that writes.
        claimed: the message.

    Raises:
        InputError: its writer was forgotten meanwhile.
    """
    inbound = claimed.inbound
    key = conversation_key(inbound.account, inbound.conversation)
    await Turns(database, "").store_message(connection, replace(inbound, conversation=key, account=""))


def _open_messages(ticket: TicketRecord) -> tuple[ColumnElement[bool], ...]:
    return InboundEvent.ticket_id == ticket.id, InboundEvent.source == "customer", OPEN
