"""Send a message to the customer of a ticket: stored at once, delivered by a worker in the conversation's order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import exists, insert, select, update
from uuid_utils import uuid7

from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.desk.inbox.outgoing import add_outgoing
from qwendesk.desk.tickets.records import Actor, TicketRecord
from qwendesk.memory.conversations.turns import attachment_rows, parts_of
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import Message, StoredAttachment
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import TicketText
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.messages import Attachment, Inbound


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """A message to the customer of a ticket."""

    text: str
    """The text as it was written, in the operator's language."""
    key: str
    """Identifies the message within its ticket."""
    operator: Actor | None = None
    """The operator who writes it; None: the desk."""
    files: tuple[Attachment, ...] = ()
    buttons: Sequence[Sequence[str]] = ()
    """Pairs of a button's label and value."""


def event_of(ticket_id: str, key: str) -> str:
    """Return what identifies a message of the desk in the queue.

    Args:
        ticket_id: the ticket.
        key: identifies the message within it.
    """
    return f"desk:{ticket_id}:{key}"


async def is_stored(connection: TenantConnection, ticket: TicketRecord, key: str) -> bool:
    """Return whether a message with this key was stored for the ticket before."""
    known = InboundEvent.event == event_of(ticket.id, key)
    known &= InboundEvent.channel == ticket.channel
    return bool((await connection.execute(select(exists(InboundEvent.id).where(known)))).scalar_one())


async def send_message(
    connection: TenantConnection, dialect: str, enqueue: Enqueue, ticket: TicketRecord, outgoing: OutgoingMessage
) -> int | None:
    """Store and enqueue a message, and return its number; None: it was stored before.

    Args:
        connection: the tenant's connection, in a transaction that writes and has locked the ticket's conversation.
        dialect: the name of the SQL dialect.
        enqueue: adds it to the queue.
        ticket: the ticket.
        outgoing: the message.
    """
    to, operator = ticket.delivery, outgoing.operator
    operator_id = operator.operator_id if operator else None
    payload: dict[str, Any] = {
        "locale": to.locale,
        "display_name": to.display_name,
        "group": to.group,
        "reply_to": to.reply_to,
        "author": operator.name if operator else None,
        "buttons": [list(button) for button in outgoing.buttons],
    }
    sequence = await add_outgoing(
        connection,
        dialect,
        enqueue,
        conversation_id=ticket.conversation_id,
        channel=ticket.channel,
        account=to.account,
        person=to.person,
        event=event_of(ticket.id, outgoing.key),
        source="operator" if operator else "desk",
        payload={
            "text": outgoing.text,
            "conversation": to.conversation,
            **{name: value for name, value in payload.items() if value},
        },
        ticket_id=ticket.id,
        operator_id=operator_id,
        files=outgoing.files,
    )
    if sequence is not None and operator:
        await _store(connection, ticket, operator, sequence, outgoing.text, outgoing.files)
    elif sequence is not None:
        # unique beyond the ticket, since a merge or a split moves it to another one
        await keep_text(connection, dialect, ticket.id, event_of(ticket.id, outgoing.key), sequence, outgoing.text)
    return sequence


async def note_message(
    connection: TenantConnection, dialect: str, ticket: TicketRecord, inbound: Inbound, operator: Actor
) -> int | None:
    """Store a message that a person has sent to the customer already, and return its number; None: it is known.

    Args:
        connection: the tenant's connection, in a transaction that writes and has locked the ticket's conversation.
        dialect: the name of the SQL dialect.
        ticket: the ticket.
        inbound: the message, as its channel has seen it.
        operator: who wrote it.
    """
    sequence = await add_outgoing(
        connection,
        dialect,
        lambda *row: None,
        conversation_id=ticket.conversation_id,
        channel=ticket.channel,
        account=inbound.account,
        person=ticket.delivery.person,
        event=inbound.event or str(uuid7()),
        source="operator",
        payload={"text": inbound.text, "conversation": inbound.conversation},
        ticket_id=ticket.id,
        operator_id=operator.operator_id,
    )
    if sequence is None:
        return None
    here = (InboundEvent.conversation_id == ticket.conversation_id) & (InboundEvent.sequence == sequence)
    await connection.execute(update(InboundEvent).where(here).values(status="done", finished_at=datetime.now(UTC)))
    await _store(connection, ticket, operator, sequence, inbound.text, inbound.attachments)
    return sequence


def told_key(message: str) -> str:
    """Return what identifies the desk's own answer to a customer's message.

    Args:
        message: id of the accepted message.
    """
    return f"told:{message}"


async def keep_text(
    connection: TenantConnection, dialect: str, ticket_id: str, key: str, sequence: int, text: str
) -> None:
    """Store once what the desk itself tells a ticket's customer, for operators to read.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        dialect: the name of the SQL dialect.
        ticket_id: the ticket.
        key: identifies the text among those of all tickets.
        sequence: its number in the conversation, or that of the message that it answers.
        text: the text.
    """
    row = {"id": str(uuid7()), "ticket_id": ticket_id, "key": key, "sequence": sequence, "text": text}
    once = upsert(dialect, TicketText).on_conflict_do_nothing(index_elements=["ticket_id", "key"])
    await connection.execute(once, {**row, "created_at": datetime.now(UTC)})


async def _store(
    connection: TenantConnection,
    ticket: TicketRecord,
    operator: Actor,
    sequence: int,
    text: str,
    files: Sequence[Attachment],
) -> None:
    """Store an operator's message in the conversation."""
    stored = attachment_rows(files)
    row = {
        "id": str(uuid7()),
        "conversation_id": ticket.conversation_id,
        "sequence": sequence,
        "role": "operator",
        "part": 0,
        "text": text,
        "parts": parts_of(stored),
        "ticket_id": ticket.id,
        "operator_id": operator.operator_id,
        "author": None if operator.operator_id else operator.name or None,
        "created_at": datetime.now(UTC),
    }
    await connection.execute(insert(Message), row)
    if stored:
        await connection.execute(insert(StoredAttachment), [{**file, "message_id": row["id"]} for file in stored])
