"""Everything stored about a person: export it, or delete it with all that came from it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Delete, Row, Select, delete, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from qwendesk.memory.documents import increment_revision_after_removal
from qwendesk.memory.tables.conversations import (
    ANSWER_LANGUAGE,
    VERIFIED_CUSTOMER,
    Base,
    Conversation,
    Message,
    PendingTurn,
    Person,
    PersonIdentity,
    StoredAttachment,
    Turn,
)
from qwendesk.memory.tables.documents import KbChunk, KbDocument
from qwendesk.memory.tables.facts import ConversationSummary, StoredFact, ToolCall
from qwendesk.memory.tables.inbox import Access, InboundEvent, InboundFile, OutboundMessage
from qwendesk.memory.tables.reports import KnowledgeDraft, TicketRating
from qwendesk.memory.tables.tickets import MessageTranslation, Ticket, TicketApproval, TicketEvent
from qwendesk.memory.tables.workspace import ReplyDraft
from qwendesk.memory.tenancy import TenantConnection

FORMAT = 1
"""Version of the export's structure."""
_SKIPPED = ("message", "tenant_id")
Part = tuple[str, Select[Any]]
"""A key of the export and the query of its rows."""
_PERSONAL_SETTINGS = (ANSWER_LANGUAGE, VERIFIED_CUSTOMER)
"""Settings of a conversation that are one person's."""
_OF_OPERATORS_OR_MESSAGES = ("message", "inbound_event", "ticket_presence", "ticket_read")
"""Tables with a ticket that are exported otherwise, or say only what operators have open."""
_BATCH_CONVERSATIONS = 10_000
"""Conversations named in one statement; databases limit the number of parameters."""


async def export_person(connection: TenantConnection, person: str) -> dict[str, Any] | None:
    """Return all rows about a person; None for an unknown person."""
    statement = select(*Person.__table__.columns).where(Person.id == person)
    found = (await connection.execute(statement)).one_or_none()
    if found is None:
        return None
    out: dict[str, Any] = {"format": FORMAT, "person": _plain(found)}
    for part in (_conversations, _tickets, _documents, _inbox, _other_tables):
        for name, query in part(person):
            out[name] = [_plain(row) for row in await connection.execute(query)]
    return out


def _plain(row: Row[Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row._mapping.items() if name not in _SKIPPED}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def _conversations(person: str) -> Iterator[Part]:
    """Yield the person's conversations, messages with their answers, files, turns and tool calls."""
    asked = aliased(Message)
    theirs = select(asked.conversation_id).where(asked.person_id == person)
    questions = select(asked.id).where(asked.person_id == person)
    answered = select(asked.id).where(
        asked.conversation_id == Message.conversation_id, asked.sequence == Message.sequence, asked.person_id == person
    )
    told = _is_told(person)
    of_messages = Message.conversation_id.in_(theirs), or_(Message.person_id == person, answered.exists(), told)
    order = (Message.conversation_id, Message.sequence, Message.role.desc(), Message.part)
    turns = select(Turn.id).where(Turn.question_id.in_(questions))
    yield "conversations", _all(Conversation).where(Conversation.id.in_(theirs))
    yield "messages", _all(Message).where(*of_messages).order_by(*order)
    files_of = select(Message.id).where(or_(Message.person_id == person, told))
    yield "attachments", _all(StoredAttachment).where(StoredAttachment.message_id.in_(files_of))
    yield "turns", _all(Turn).where(Turn.question_id.in_(questions))
    yield "tool_calls", _all(ToolCall).where(ToolCall.turn_id.in_(turns))


def _tickets(person: str) -> Iterator[Part]:
    """Yield all that hangs on the person's tickets, such as notes, ratings and drafts, and translations there."""
    theirs = _tickets_of(person)
    messages = select(Message.id).where(or_(Message.person_id == person, Message.ticket_id.in_(theirs)))
    for table in Base.metadata.sorted_tables:
        if "ticket_id" in table.c and table.name not in _OF_OPERATORS_OR_MESSAGES:
            yield table.name, select(table).where(table.c.ticket_id.in_(theirs)).order_by(table.c.id)
    yield "message_translation", _all(MessageTranslation).where(MessageTranslation.message_id.in_(messages))


def _documents(person: str) -> Iterator[Part]:
    """Yield the documents for the person or for one of the person's conversations, and their text."""
    asked = aliased(Message)
    conversations = select(asked.conversation_id).where(asked.person_id == person)
    of_conversation = KbDocument.person_id.is_(None) & KbDocument.conversation_id.in_(conversations)
    is_theirs = or_(KbDocument.person_id == person, of_conversation)
    columns: tuple[Any, ...] = (KbChunk.document_id, KbChunk.ordinal, KbChunk.headings, KbChunk.place, KbChunk.text)
    passages = select(*columns).join(KbDocument, KbDocument.id == KbChunk.document_id).where(is_theirs)
    yield KbDocument.__tablename__, _all(KbDocument).where(is_theirs).order_by(KbDocument.id)
    yield KbChunk.__tablename__, passages.order_by(KbChunk.document_id, KbChunk.ordinal)


def _inbox(person: str) -> Iterator[Part]:
    """Yield accepted messages, their files and answers, and the person's access."""

    def is_named(table: Any) -> Any:
        identity = PersonIdentity
        same = exists(identity.id).where(identity.channel == table.channel, identity.external_user_id == table.person)
        return same.where(identity.person_id == person)

    accepted = select(InboundEvent.id).where(is_named(InboundEvent))
    yield "inbound_event", _all(InboundEvent).where(is_named(InboundEvent)).order_by(InboundEvent.id)
    yield "inbound_file", _all(InboundFile).where(InboundFile.inbound_id.in_(accepted))
    yield "outbound", _all(OutboundMessage).where(OutboundMessage.inbound_id.in_(accepted))
    yield "access", _all(Access).where(is_named(Access))


def _other_tables(person: str) -> Iterator[Part]:
    """Yield the rows of every other table with a person."""
    for table in Base.metadata.sorted_tables:
        if "person_id" in table.c and table.name not in (Message.__tablename__, KbDocument.__tablename__):
            yield table.name, select(table).where(table.c.person_id == person)


def _all(table: type[Base]) -> Select[Any]:
    return select(*table.__table__.columns)


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
    # A state that waits for an approval may quote what others have written in its conversation.
    waiting = select(Turn.id).where(Turn.conversation_id.in_(written_in))
    counts["pending_turn"] = await run(delete(PendingTurn).where(PendingTurn.turn_id.in_(waiting)))
    # Passages, vectors and index entries are deleted with their documents.
    counts["kb_document"] = await run(delete(KbDocument).where(KbDocument.person_id == person))
    counts["fact"] = await run(delete(StoredFact).where(StoredFact.person_id == person))
    # Turns, tool calls, files and ratings are deleted with their messages.
    messages = or_(Message.person_id == person, _is_answer_to(person), _is_told(person))
    counts["message"] = await run(delete(Message).where(Message.conversation_id.in_(written_in), messages))
    counts["message"] += await run(_delete_told_to_nobody(conversations))
    # Events, notes and drafts are deleted with their tickets.
    await _forget_in_other_tickets(connection, person, conversations)
    counts["ticket"] = await run(delete(Ticket).where(Ticket.person_id == person))
    documents, counts["conversation"] = await _delete_empty(connection, conversations)
    counts["kb_document"] += documents
    counts["person_identity"] = await run(delete(PersonIdentity).where(PersonIdentity.person_id == person))
    counts["person"] = await run(delete(Person).where(Person.id == person))
    if counts["kb_document"]:
        await increment_revision_after_removal(connection)
    return counts


def _is_told(person: str) -> ColumnElement[bool]:
    """Return the condition for messages to a person in their tickets: operators', and the bot's that answer nobody."""
    asked = aliased(Message)
    here = (asked.conversation_id == Message.conversation_id) & (asked.sequence == Message.sequence)
    answers = exists(asked.id).where(here, asked.role == "user")
    by_desk = or_(Message.role == "operator", (Message.role == "assistant") & ~answers)
    return Message.ticket_id.in_(_tickets_of(person)) & by_desk


def _delete_told_to_nobody(conversations: list[str]) -> Delete:
    """Return the statement that deletes the desk's messages of conversations in which nobody's message is left."""
    asked = aliased(Message)
    somebody = exists(asked.id).where(asked.conversation_id == Message.conversation_id, asked.role == "user")
    return delete(Message).where(Message.conversation_id.in_(conversations), Message.role != "user", ~somebody)


async def _forget_in_other_tickets(connection: TenantConnection, person: str, conversations: list[str]) -> None:
    """Remove the person's name from the tickets of others in a group, and what may be the person's words there.

    A subject consists of the first words of a message, and a draft of the longest ones.
    """
    identities = select(PersonIdentity.external_user_id).where(PersonIdentity.person_id == person)
    names = set((await connection.execute(identities)).scalars())
    others = or_(Ticket.person_id != person, Ticket.person_id.is_(None))
    here = Ticket.conversation_id.in_(conversations), others
    await connection.execute(update(Ticket).where(*here).values(subject=""))
    there = select(Ticket.id).where(*here)
    await _forget_arguments(connection, there)
    # a draft may answer the person
    await connection.execute(delete(ReplyDraft).where(ReplyDraft.ticket_id.in_(there)))
    is_undecided = KnowledgeDraft.status != "approved"  # what a person has approved is a document of the desk
    await connection.execute(delete(KnowledgeDraft).where(KnowledgeDraft.ticket_id.in_(there), is_undecided))
    await connection.execute(update(TicketRating).where(TicketRating.ticket_id.in_(there)).values(comment=None))
    await _remove_left_fields(connection, there)
    for id_, delivery in (await connection.execute(select(Ticket.id, Ticket.delivery).where(*here))).all():
        if delivery.get("person") in names:
            kept = {name: value for name, value in delivery.items() if name not in ("person", "display_name")}
            await connection.execute(update(Ticket).where(Ticket.id == id_).values(delivery=kept))


async def _forget_arguments(connection: TenantConnection, tickets: Select[Any]) -> None:
    """Delete ended approvals, and remove the arguments of the others, which may be the person's words.

    The state that would go on is deleted, so the desk ends these and tells who has asked for them.
    """
    here, is_open = TicketApproval.ticket_id.in_(tickets), TicketApproval.status.in_(["waiting", "decided"])
    await connection.execute(delete(TicketApproval).where(here, ~is_open))
    columns: tuple[Any, ...] = (TicketApproval.id, TicketApproval.calls, TicketApproval.decisions)
    for id_, calls, decisions in (await connection.execute(select(*columns).where(here))).all():
        kept = {
            "calls": [{**call, "arguments": {}, "reason": ""} for call in calls],
            "decisions": {call: {**decision, "arguments": None, "error": ""} for call, decision in decisions.items()},
        }
        await connection.execute(update(TicketApproval).where(TicketApproval.id == id_).values(**kept))


async def _remove_left_fields(connection: TenantConnection, tickets: Select[Any]) -> None:
    """Remove the fields that customers have left in tickets themselves, such as an address."""
    left = TicketEvent.ticket_id.in_(tickets) & (TicketEvent.kind == "updated") & (TicketEvent.actor == "customer")
    columns = select(Ticket.id, Ticket.fields, TicketEvent.changes)
    names: dict[str, set[str]] = {}
    fields: dict[str, dict[str, Any]] = {}
    for row in await connection.execute(columns.join(TicketEvent, TicketEvent.ticket_id == Ticket.id).where(left)):
        fields[row.id] = row.fields
        names.setdefault(row.id, set()).update(row.changes.get("fields", ()))
    for id_, values in fields.items():
        kept = {name: value for name, value in values.items() if name not in names[id_]}
        await connection.execute(update(Ticket).where(Ticket.id == id_).values(fields=kept))


async def _lock(connection: TenantConnection, person: str) -> list[str]:
    """Lock the rows that others could add to; return the conversations the person has written in.

    Conversations are locked before the person, in the order of a turn that begins; the other order could deadlock.
    A conversation that the person begins meanwhile is locked in another round.
    """
    conversations = select(Conversation.id).where(conversations_of(person)).order_by(Conversation.id)
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


def conversations_of(person: str) -> ColumnElement[bool]:
    """Return the condition for the conversations in which a person has written, stored or only accepted."""
    taken = aliased(InboundEvent)
    accepted = select(taken.conversation_id).where(_has_name_of(taken, person)).distinct()
    return or_(Conversation.id.in_(_written_in(person)), Conversation.id.in_(accepted))


async def _delete_empty(connection: TenantConnection, conversations: list[str]) -> tuple[int, int]:
    """Delete empty conversations with their documents, and titles and wishes of the other conversations.

    A title consists of the first words of a message, which may be the person's, and so may be the wish for a language
    and the verified customer.
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
        personal = or_(*(Conversation.settings[name].as_string().is_not(None) for name in _PERSONAL_SETTINGS))
        for id_, settings in (
            await connection.execute(select(Conversation.id, Conversation.settings).where(among, personal))
        ).all():
            kept = {name: value for name, value in settings.items() if name not in _PERSONAL_SETTINGS}
            await connection.execute(update(Conversation).where(Conversation.id == id_).values(settings=kept))
    return documents, removed


def is_empty_conversation() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a conversation without messages, stored or accepted."""
    stored = exists(Message.id).where(Message.conversation_id == Conversation.id)
    accepted = exists(InboundEvent.id).where(InboundEvent.conversation_id == Conversation.id)
    return ~stored, ~accepted


def _tickets_of(person: str) -> Select[Any]:
    return select(Ticket.id).where(Ticket.person_id == person)


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
