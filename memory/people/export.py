"""Export everything stored about a person as plain JSON types."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, exists, or_, select
from sqlalchemy.orm import aliased

from qwendesk.memory.tables.conversations import (
    Base,
    Conversation,
    Message,
    Person,
    PersonIdentity,
    StoredAttachment,
    Turn,
)
from qwendesk.memory.tables.documents import KbChunk, KbDocument
from qwendesk.memory.tables.facts import ToolCall
from qwendesk.memory.tables.inbox import Access, InboundEvent, InboundFile, OutboundMessage
from qwendesk.memory.tenancy import TenantConnection

FORMAT = 1
"""Version of the export's structure."""
_SKIPPED = ("message", "tenant_id")
Part = tuple[str, Select[Any]]
"""A key of the export and the query of its rows."""


async def export_person(connection: TenantConnection, person: str) -> dict[str, Any] | None:
    """Return all rows about a person; None for an unknown person."""
    statement = select(*Person.__table__.columns).where(Person.id == person)
    found = (await connection.execute(statement)).one_or_none()
    if found is None:
        return None
    out: dict[str, Any] = {"format": FORMAT, "person": _plain(found)}
    for part in (_conversations, _documents, _inbox, _other_tables):
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
    of_messages = Message.conversation_id.in_(theirs), or_(Message.person_id == person, answered.exists())
    order = (Message.conversation_id, Message.sequence, Message.role.desc(), Message.part)
    turns = select(Turn.id).where(Turn.question_id.in_(questions))
    yield "conversations", _all(Conversation).where(Conversation.id.in_(theirs))
    yield "messages", _all(Message).where(*of_messages).order_by(*order)
    yield "attachments", _all(StoredAttachment).where(StoredAttachment.message_id.in_(questions))
    yield "turns", _all(Turn).where(Turn.question_id.in_(questions))
    yield "tool_calls", _all(ToolCall).where(ToolCall.turn_id.in_(turns))


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
