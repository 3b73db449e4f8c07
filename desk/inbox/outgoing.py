"""Messages of the desk and of operators to a customer: accepted and enqueued in the conversation's queue."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import insert, select, update
from uuid_utils import uuid7

from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.inbox import InboundEvent, InboundFile
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.messages import Attachment


async def add_outgoing(
    connection: TenantConnection,
    dialect: str,
    enqueue: Enqueue,
    *,
    conversation_id: str,
    channel: str,
    event: str,
    source: Literal["operator", "desk"],
    payload: dict[str, Any],
    account: str = "",
    person: str = "",
    ticket_id: str | None = None,
    operator_id: str | None = None,
    files: Sequence[Attachment] = (),
) -> int | None:
    """Store a message to a customer and enqueue it; return its number, or None if it was stored before.

    Args:
        connection: the tenant's connection, in a transaction that writes and has locked the conversation.
        dialect: the name of the SQL dialect.
        enqueue: adds it to the queue.
        conversation_id: the conversation's id.
        channel: its channel.
        event: identifies the message; a second one with the same event is not stored.
        source: who writes it.
        payload: ``text`` and ``conversation``, its key on the channel, and what the worker needs.
        account: the desk's account on the channel.
        person: the customer's name on the channel.
        ticket_id: the ticket it belongs to.
        operator_id: the operator who wrote it.
        files: files that go with it.
    """
    here = Conversation.id == conversation_id
    now = datetime.now(UTC)
    sequence = (await connection.execute(select(Conversation.next_sequence).where(here))).scalar_one()
    row = {
        "id": str(uuid7()),
        "channel": channel,
        "account": account,
        "event": event,
        "conversation_id": conversation_id,
        "sequence": sequence,
        "person": person,
        "source": source,
        "ticket_id": ticket_id,
        "operator_id": operator_id,
        "payload": {**payload, "think": None, "files": len(files)},
        "received_at": now,
    }
    statement = upsert(dialect, InboundEvent).on_conflict_do_nothing(
        index_elements=["tenant_id", "channel", "account", "event"]
    )
    added = await connection.execute(statement.returning(InboundEvent.id), row)
    if added.scalar_one_or_none() is None:
        return None
    taken = update(Conversation).where(here).values(next_sequence=sequence + 1, updated_at=now)
    await connection.execute(taken)
    if files:
        rows = [
            {
                "id": str(uuid7()),
                "inbound_id": row["id"],
                "ordinal": ordinal,
                "kind": file.kind,
                "mime": file.mime,
                "name": file.name,
                "content": file.data,
            }
            for ordinal, file in enumerate(files)
        ]
        await connection.execute(insert(InboundFile), rows)
    await connection.raw.run_sync(enqueue, row["id"], conversation_id, sequence)
    return int(sequence)
