"""Retention: delete data older than a given time."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from functools import cache

from sqlalchemy import BindParameter, Delete, bindparam, delete, exists, or_, select
from sqlalchemy.orm import aliased

from qwendesk.memory.audit import add_audit_entry
from qwendesk.memory.database import Database
from qwendesk.memory.documents import increment_revision_after_removal
from qwendesk.memory.tables.conversations import Conversation, Message, Tenant
from qwendesk.memory.tables.documents import KbDocument
from qwendesk.memory.tables.facts import ConversationSummary, LinkCode, StoredFact
from qwendesk.memory.tables.operators import OperatorAudit, OperatorSession
from qwendesk.memory.tables.tickets import Ticket, TicketEvent, TicketNote, TicketText
from qwendesk.memory.tenancy import TenantDatabase


class _DryRunOver(Exception):
    """Rolls back the transaction of a dry run."""


async def tenants(database: Database) -> list[str]:
    """Return the names of all tenants."""
    async with database.read() as connection:
        return sorted((await connection.execute(select(Tenant.id))).scalars())


async def purge(database: TenantDatabase, before: datetime, *, dry_run: bool = False) -> dict[str, int]:
    """Delete one tenant's turns older than ``before``, data derived from them, and facts closed before it.

    Valid facts stay. Returns the number of rows of each table that were, or in a dry run would be, deleted.
    """
    counts: dict[str, int] = {}
    with suppress(_DryRunOver):
        async with database.write() as connection:
            for table, statement in _steps().items():
                counts[table] = (await connection.execute(statement, {"before": before})).rowcount
            if dry_run:
                raise _DryRunOver
            if counts[KbDocument.__tablename__]:
                await increment_revision_after_removal(connection)
            await add_audit_entry(connection, "purge", before.isoformat(), counts)
    return counts


@cache
def _steps() -> dict[str, Delete]:
    """Return the statements in order; a summary contains the words of deleted messages."""
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
    # nobody would know of a customer whose ticket is open
    of_old_matter = Ticket.state == "resolved", Ticket.updated_at < before, Ticket.last_message_at < before
    has_message = exists(Message.id).where(Message.ticket_id == Ticket.id)
    return {
        "conversation_summary": delete(ConversationSummary).where(ConversationSummary.conversation_id.in_(touched)),
        "message": delete(Message).where(or_(Message.created_at < before, beside)),
        KbDocument.__tablename__: delete(KbDocument).where(KbDocument.conversation_id.in_(of_old)),
        "ticket_text": delete(TicketText).where(TicketText.created_at < before),
        "ticket_note": delete(TicketNote).where(TicketNote.created_at < before),
        "ticket_event": delete(TicketEvent).where(TicketEvent.at < before),
        "ticket": delete(Ticket).where(*of_old_matter, ~has_message),
        "conversation": delete(Conversation).where(*old_conversation),
        "fact": delete(StoredFact).where(StoredFact.valid_to < before),
        "link_code": delete(LinkCode).where(LinkCode.expires_at < before),
        "operator_session": delete(OperatorSession).where(OperatorSession.expires_at < before),
        "operator_audit": delete(OperatorAudit).where(OperatorAudit.at < before),
    }
