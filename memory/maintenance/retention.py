"""Retention: remove what is older than a person or a law wants it kept."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import cache

from sqlalchemy import BindParameter, Delete, bindparam, delete, exists, or_, select
from sqlalchemy.orm import aliased

from qwendesk.memory.audit import record
from qwendesk.memory.database import Database
from qwendesk.memory.documents import note_removal
from qwendesk.memory.tables.conversations import Conversation, Message, Tenant
from qwendesk.memory.tables.documents import KbDocument
from qwendesk.memory.tables.facts import ConversationSummary, LinkCode, StoredFact
from qwendesk.memory.tenancy import TenantDatabase


class _Undo(Exception):
    """Ends a transaction that was only a trial."""


async def tenants(database: Database) -> list[str]:
    """Return the names of all tenants."""
    async with database.read() as connection:
        return sorted((await connection.execute(select(Tenant.id))).scalars())


async def purge(database: TenantDatabase, before: datetime, *, dry_run: bool = False) -> dict[str, int]:
    """Remove one tenant's turns older than ``before``, what was made from them, and facts closed before it.

    What holds now about a person stays until it is forgotten. Return how many rows of each table went, or would go.
    """
    counts: dict[str, int] = {}
    with suppress(_Undo):
        async with database.write() as connection:
            for table, statement in _steps().items():
                counts[table] = (await connection.execute(statement, {"before": before})).rowcount
            if dry_run:
                raise _Undo
            if counts[KbDocument.__tablename__]:
                await note_removal(connection)
            await record(connection, "purge", before.isoformat(), counts)
    return counts


@cache
def _steps() -> dict[str, Delete]:
    """Give the statements in their order: a summary holds the words of the messages that go."""
    before: BindParameter[datetime] = bindparam("before")
    asked, old = aliased(Message), aliased(Message)
    beside = exists(asked.id).where(
        asked.conversation_id == Message.conversation_id,
        asked.sequence == Message.sequence,
        asked.role == "user",
        asked.created_at < before,
    )
    touched = select(old.conversation_id).where(old.created_at < before)
    empty = ~exists(Message.id).where(Message.conversation_id == Conversation.id)
    old_conversation = Conversation.updated_at < before, empty
    of_old = select(Conversation.id).where(*old_conversation)
    return {
        "conversation_summary": delete(ConversationSummary).where(ConversationSummary.conversation_id.in_(touched)),
        "message": delete(Message).where(or_(Message.created_at < before, beside)),
        KbDocument.__tablename__: delete(KbDocument).where(KbDocument.conversation_id.in_(of_old)),
        "conversation": delete(Conversation).where(*old_conversation),
        "fact": delete(StoredFact).where(StoredFact.valid_to < before),
        "link_code": delete(LinkCode).where(LinkCode.expires_at < before),
    }
