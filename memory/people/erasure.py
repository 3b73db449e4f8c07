"""Delete a person and everything that came from them."""

from __future__ import annotations

from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from qwendesk.memory.documents import note_removal
from qwendesk.memory.tables.conversations import Conversation, Message, Person, PersonIdentity, StoredAttachment, Turn
from qwendesk.memory.tables.documents import KbDocument
from qwendesk.memory.tables.facts import ConversationSummary, StoredFact
from qwendesk.memory.tables.inbox import Access, InboundEvent
from qwendesk.memory.tenancy import TenantConnection

_BATCH_CONVERSATIONS = 10_000
"""Conversations named in one statement; databases limit the number of parameters."""


async def erase(connection: TenantConnection, person: str, answering: str | None = None) -> dict[str, int]:
    """Delete the rows, children first where they are counted; return the number of rows of each table.

    Args:
        connection: the tenant's connection.
        person: the person's id.
        answering: an accepted message that stays with its conversation, since its answer has yet to be delivered.
    """

    async def run(statement: Any) -> int:
        return int((await connection.execute(statement)).rowcount)

    written_in = _written_in(person)
    conversations = await _lock(connection, person)
    files = select(func.count(StoredAttachment.id)).join(Message, StoredAttachment.message_id == Message.id)
    counts = {"attachment": (await connection.execute(files.where(Message.person_id == person))).scalar_one()}
    accepted = _has_name_of(InboundEvent, person) & (InboundEvent.id != (answering or ""))
    counts["inbound_event"] = await run(delete(InboundEvent).where(accepted))
    # A denied person stays denied, and an operator stays an operator.
    may_go = (Access.state != "denied") & (Access.role == "person")
    await run(delete(Access).where(_has_name_of(Access, person), may_go))
    # A summary covers the messages of all people.
    counts["conversation_summary"] = await run(
        delete(ConversationSummary).where(ConversationSummary.conversation_id.in_(written_in))
    )
    # Passages, vectors and index entries are deleted with their documents.
    counts["kb_document"] = await run(delete(KbDocument).where(KbDocument.person_id == person))
    counts["fact"] = await run(delete(StoredFact).where(StoredFact.person_id == person))
    # Turns, tool calls, files and ratings are deleted with their messages.
    messages = or_(Message.person_id == person, _is_answer_to(person))
    counts["message"] = await run(delete(Message).where(Message.conversation_id.in_(written_in), messages))
    documents, counts["conversation"] = await _delete_empty(connection, conversations)
    counts["kb_document"] += documents
    counts["person_identity"] = await run(delete(PersonIdentity).where(PersonIdentity.person_id == person))
    counts["person"] = await run(delete(Person).where(Person.id == person))
    if counts["kb_document"]:
        await note_removal(connection)
    return counts


async def _lock(connection: TenantConnection, person: str) -> list[str]:
    """Lock the rows that others could add to; return the conversations the person has written in.

    Conversations are locked before the person, in the order of a turn that begins; the other order could deadlock.
    A conversation that the person begins meanwhile is locked in another round.
    """
    taken = aliased(InboundEvent)
    accepted = select(taken.conversation_id).where(_has_name_of(taken, person)).distinct()
    theirs = or_(Conversation.id.in_(_written_in(person)), Conversation.id.in_(accepted))
    conversations = select(Conversation.id).where(theirs).order_by(Conversation.id)
    questions = select(Message.id).where(Message.person_id == person)
    turns = select(Turn.id).where(Turn.question_id.in_(questions)).order_by(Turn.id)
    while True:
        async with connection.raw.begin_nested() as savepoint:
            # FOR NO KEY UPDATE: an answer that is being stored refers to its conversation and must not wait.
            locked = await connection.execute(conversations.with_for_update(key_share=True))
            held = list(locked.scalars())
            await connection.execute(select(Person.id).where(Person.id == person).with_for_update())
            if set((await connection.execute(conversations)).scalars()) <= set(held):
                # Waits for answers that are being stored; later ones find no turn.
                await connection.execute(turns.with_for_update())
                return held
            await savepoint.rollback()


async def _delete_empty(connection: TenantConnection, conversations: list[str]) -> tuple[int, int]:
    """Delete empty conversations with their documents, and the titles of the other conversations.

    A title consists of the first words of a message, which may be the person's.
    """
    documents = removed = 0
    remaining = iter(conversations)
    while some := list(islice(remaining, _BATCH_CONVERSATIONS)):
        has_messages = exists(Message.id).where(Message.conversation_id == KbDocument.conversation_id)
        of_empty = KbDocument.conversation_id.in_(some) & ~has_messages
        documents += (await connection.execute(delete(KbDocument).where(of_empty))).rowcount
        among = Conversation.id.in_(some)
        removed += (await connection.execute(delete(Conversation).where(among, *is_empty_conversation()))).rowcount
        await connection.execute(update(Conversation).where(among).values(title=""))
    return documents, removed


def is_empty_conversation() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a conversation without messages, stored or accepted."""
    stored = exists(Message.id).where(Message.conversation_id == Conversation.id)
    accepted = exists(InboundEvent.id).where(InboundEvent.conversation_id == Conversation.id)
    return ~stored, ~accepted


def _written_in(person: str) -> Select[Any]:
    message = aliased(Message)
    return select(message.conversation_id).where(message.person_id == person).distinct()


def _has_name_of(table: Any, person: str) -> ColumnElement[bool]:
    """Return the condition for rows with a name that the person has on their channel."""
    same = (PersonIdentity.channel == table.channel) & (PersonIdentity.external_user_id == table.person)
    return exists(PersonIdentity.id).where(same, PersonIdentity.person_id == person)


def _is_answer_to(person: str) -> ColumnElement[bool]:
    question = aliased(Message)
    return exists(question.id).where(
        question.conversation_id == Message.conversation_id,
        question.sequence == Message.sequence,
        question.person_id == person,
    )
