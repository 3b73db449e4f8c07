"""Remove everything that came from a person; only a line of the audit stays, with numbers and no content."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Delete,
    Select,
    Update,
    bindparam,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import aliased

from qwendesk.memory.documents import note_removal
from qwendesk.memory.tables.conversations import Conversation, Message, Person, PersonIdentity, StoredAttachment, Turn
from qwendesk.memory.tables.documents import KbDocument
from qwendesk.memory.tables.facts import ConversationSummary, StoredFact
from qwendesk.memory.tables.inbox import Access, InboundEvent
from qwendesk.memory.tenancy import TenantConnection

_AT_ONCE = 10_000
"""Conversations named in one statement; databases take only so many values."""


async def erase(connection: TenantConnection, person: str, answering: str | None = None) -> dict[str, int]:
    """Remove the rows, children first where they are to be counted; return how many of each table.

    The accepted message ``answering`` stays, with its conversation: its answer has still to be delivered.
    """
    values = {"of_person": person}
    touched = await _hold(connection, person)
    counts = {"attachment": (await connection.execute(_files(), values)).scalar_one()}
    events = await connection.execute(_accepted(), values | {"answering": answering or ""})
    counts["inbound_event"] = events.rowcount
    await connection.execute(_access(), values)
    counts["conversation_summary"] = (await connection.execute(_summaries(), values)).rowcount
    counts["kb_document"] = (await connection.execute(_documents(), values)).rowcount
    counts["fact"] = (await connection.execute(_facts(), values)).rowcount
    # turns, their tool calls, files and ratings go with their messages
    counts["message"] = (await connection.execute(_messages(), values)).rowcount
    documents, counts["conversation"] = await _leave(connection, touched)
    counts["kb_document"] += documents
    counts["person_identity"] = (await connection.execute(_identities(), values)).rowcount
    counts["person"] = (await connection.execute(_person(), values)).rowcount
    if counts["kb_document"]:
        await note_removal(connection)
    return counts


async def _hold(connection: TenantConnection, person: str) -> list[str]:
    """Keep others from adding to what is about to go; return the conversations the person has written in.

    The conversations come before the person, as in a turn that begins: the other way round, each would wait for the
    other. What the person has begun meanwhile elsewhere is held in another round.
    """
    values = {"of_person": person}
    while True:
        async with connection.raw.begin_nested() as point:
            held = list((await connection.execute(_hold_conversations(), values)).scalars())
            await connection.execute(_hold_person(), values)
            touched = (await connection.execute(_touched(), values)).scalars()
            if set(touched) <= set(held):
                await connection.execute(_hold_turns(), values)
                return held
            await point.rollback()


async def _leave(connection: TenantConnection, touched: list[str]) -> tuple[int, int]:
    """Remove conversations in which nobody else has written, with their documents, and the titles of the others."""
    documents = removed = 0
    for start in range(0, len(touched), _AT_ONCE):
        some = {"of_conversations": touched[start : start + _AT_ONCE]}
        documents += (await connection.execute(_documents_of_empty(), some)).rowcount
        removed += (await connection.execute(_empty_conversations(), some)).rowcount
        await connection.execute(_untitle(), some)
    return documents, removed


def _theirs(table: Any = Message) -> Any:
    return table.person_id == bindparam("of_person")


@cache
def _touched() -> Select[Any]:
    """Give the conversations the person has written in, whatever has become of it."""
    taken = aliased(InboundEvent)
    accepted = select(taken.conversation_id).where(_is_theirs(taken)).distinct()
    theirs = or_(Conversation.id.in_(_written_in()), Conversation.id.in_(accepted))
    return select(Conversation.id).where(theirs).order_by(Conversation.id)


def _written_in() -> Select[Any]:
    theirs = aliased(Message)
    return select(theirs.conversation_id).where(_theirs(theirs)).distinct()


@cache
def _hold_conversations() -> Select[Any]:
    # not FOR UPDATE: an answer that is being stored refers to its conversation, and has to come through
    return _touched().with_for_update(key_share=True)


@cache
def _hold_person() -> Select[Any]:
    return select(Person.id).where(Person.id == bindparam("of_person")).with_for_update()


@cache
def _hold_turns() -> Select[Any]:
    """Wait for answers that are being stored; those that come later find no turn."""
    asked = select(Message.id).where(_theirs())
    return select(Turn.id).where(Turn.question_id.in_(asked)).order_by(Turn.id).with_for_update()


@cache
def _files() -> Select[Any]:
    files = select(func.count()).select_from(StoredAttachment)
    return files.join(Message, StoredAttachment.message_id == Message.id).where(_theirs())


@cache
def _summaries() -> Delete:
    """Summaries hold what everybody said."""
    return delete(ConversationSummary).where(ConversationSummary.conversation_id.in_(_written_in()))


@cache
def _facts() -> Delete:
    return delete(StoredFact).where(_theirs(StoredFact))


def _is_theirs(table: Any) -> Any:
    """Tell a person's rows by the names the person has on channels."""
    named = exists(PersonIdentity.id).where(
        PersonIdentity.channel == table.channel, PersonIdentity.external_user_id == table.person
    )
    return named.where(_theirs(PersonIdentity))


@cache
def _accepted() -> Delete:
    """What the desk took, with its files and answers, what waits included."""
    return delete(InboundEvent).where(_is_theirs(InboundEvent), InboundEvent.id != bindparam("answering"))


@cache
def _access() -> Delete:
    """Who was turned away stays so, and an operator an operator."""
    return delete(Access).where(_is_theirs(Access), Access.state != "denied", Access.role == "person")


@cache
def _documents() -> Delete:
    """Passages, vectors and entries of indexes go with their documents."""
    return delete(KbDocument).where(_theirs(KbDocument))


@cache
def _messages() -> Delete:
    """The person's messages, and the answers that stand beside them."""
    asked = aliased(Message)
    beside = exists(asked.id).where(
        asked.conversation_id == Message.conversation_id, asked.sequence == Message.sequence, _theirs(asked)
    )
    return delete(Message).where(Message.conversation_id.in_(_written_in()), or_(_theirs(), beside))


def _among() -> Any:
    return Conversation.id.in_(bindparam("of_conversations", expanding=True))


@cache
def _empty_conversations() -> Delete:
    """Conversations in which nobody else has said anything, or waits for an answer."""
    return delete(Conversation).where(_among(), *nothing_left())


@cache
def _documents_of_empty() -> Delete:
    among = KbDocument.conversation_id.in_(bindparam("of_conversations", expanding=True))
    left = exists(Message.id).where(Message.conversation_id == KbDocument.conversation_id)
    return delete(KbDocument).where(among, ~left)


@cache
def _untitle() -> Update:
    """A title is the first words of a message, which may be the person's."""
    return update(Conversation).where(_among()).values(title="")


@cache
def _identities() -> Delete:
    return delete(PersonIdentity).where(_theirs(PersonIdentity))


@cache
def _person() -> Delete:
    return delete(Person).where(Person.id == bindparam("of_person"))


def nothing_left() -> tuple[Any, ...]:
    """Tell of a conversation that nobody has said anything in it, or waits for an answer."""
    said = exists(Message.id).where(Message.conversation_id == Conversation.id)
    taken = exists(InboundEvent.id).where(InboundEvent.conversation_id == Conversation.id)
    return ~said, ~taken
