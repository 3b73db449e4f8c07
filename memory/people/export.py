"""Everything that is kept about a person, as plain JSON types."""

from __future__ import annotations

import base64
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, Table, bindparam, exists, or_, select
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

_DOCUMENT = KbDocument.__tablename__
_SKIPPED = ("message", "tenant_id")
FORMAT = 1
"""Number of this form of export."""


async def everything(connection: TenantConnection, person: str) -> dict[str, Any] | None:
    """Return all rows about a person; None where there is nobody of that id."""
    values = {"of_person": person}
    found = (await connection.execute(_person(), values)).one_or_none()
    if found is None:
        return None
    out: dict[str, Any] = {"format": FORMAT, "person": _plain(found)}
    for name, statement in (*_of_conversations(), *_of_documents(), *_of_desk(), *_others()):
        out[name] = [_plain(row) for row in await connection.execute(statement, values)]
    return out


def _plain(row: Row[Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row._mapping.items() if name not in _SKIPPED}


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return base64.b64encode(value).decode("ascii") if isinstance(value, bytes) else value


@cache
def _person() -> Select[Any]:
    return select(*Person.__table__.columns).where(Person.id == bindparam("of_person"))


@cache
def _of_conversations() -> tuple[tuple[str, Select[Any]], ...]:
    """Give the person's conversations, messages with the answers beside them, files, turns and tool calls."""
    asked = aliased(Message)
    theirs = select(asked.conversation_id).where(asked.person_id == bindparam("of_person"))
    questions = select(asked.id).where(asked.person_id == bindparam("of_person"))
    beside = select(asked.id).where(
        asked.conversation_id == Message.conversation_id,
        asked.sequence == Message.sequence,
        asked.person_id == bindparam("of_person"),
    )
    of_message = Message.conversation_id.in_(theirs), or_(Message.person_id == bindparam("of_person"), beside.exists())
    order = (Message.conversation_id, Message.sequence, Message.role.desc(), Message.part)
    turns = select(Turn.id).where(Turn.question_id.in_(questions))
    columns = {table: table.__table__.columns for table in (Conversation, Message, StoredAttachment, Turn, ToolCall)}
    return (
        ("conversations", select(*columns[Conversation]).where(Conversation.id.in_(theirs))),
        ("messages", select(*columns[Message]).where(*of_message).order_by(*order)),
        ("attachments", select(*columns[StoredAttachment]).where(StoredAttachment.message_id.in_(questions))),
        ("turns", select(*columns[Turn]).where(Turn.question_id.in_(questions))),
        ("tool_calls", select(*columns[ToolCall]).where(ToolCall.turn_id.in_(turns))),
    )


@cache
def _of_documents() -> tuple[tuple[str, Select[Any]], ...]:
    """Give the documents meant for the person or for a conversation of the person's, and their text."""
    asked = aliased(Message)
    talks = select(asked.conversation_id).where(asked.person_id == bindparam("of_person"))
    of_talk = KbDocument.person_id.is_(None) & KbDocument.conversation_id.in_(talks)
    meant = or_(KbDocument.person_id == bindparam("of_person"), of_talk)
    columns: tuple[Any, ...] = (KbChunk.document_id, KbChunk.ordinal, KbChunk.headings, KbChunk.place, KbChunk.text)
    passages = select(*columns).join(KbDocument, KbDocument.id == KbChunk.document_id).where(meant)
    return (
        (_DOCUMENT, select(KbDocument.__table__).where(meant).order_by(KbDocument.id)),
        (KbChunk.__tablename__, passages.order_by(KbChunk.document_id, KbChunk.ordinal)),
    )


@cache
def _of_desk() -> tuple[tuple[str, Select[Any]], ...]:
    """Give what the desk took and sent, and whether the person may talk."""

    def named(table: Any) -> Any:
        of = PersonIdentity
        same = exists(of.id).where(of.channel == table.channel, of.external_user_id == table.person)
        return same.where(of.person_id == bindparam("of_person"))

    taken = select(InboundEvent.id).where(named(InboundEvent))
    return (
        ("inbound_event", select(InboundEvent.__table__).where(named(InboundEvent)).order_by(InboundEvent.id)),
        ("inbound_file", select(InboundFile.__table__).where(InboundFile.inbound_id.in_(taken))),
        ("outbound", select(OutboundMessage.__table__).where(OutboundMessage.inbound_id.in_(taken))),
        ("access", select(Access.__table__).where(named(Access))),
    )


def _others() -> list[tuple[str, Select[Any]]]:
    """Give the rows of every other table that names a person."""
    told = ("message", _DOCUMENT)
    tables = [table for table in Base.metadata.sorted_tables if "person_id" in table.c and table.name not in told]
    return [(table.name, _of(table)) for table in tables]


@cache
def _of(table: Table) -> Select[Any]:
    return select(table).where(table.c.person_id == bindparam("of_person"))
