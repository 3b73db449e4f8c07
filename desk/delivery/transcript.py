"""Transcripts of conversations from inbox and outbox, for a page that is opened again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, select

from qwendesk.memory.tables.conversations import Feedback, Turn
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Author


@dataclass(frozen=True, slots=True)
class TranscriptLine:
    """One message of a transcript."""

    sequence: int
    """Number of the person's message in the conversation; an answer has that of the message it answers."""
    key: str
    """The delivery key; of a person's message, its platform id."""
    text: str
    """The delivered text with markup; of a person's message, the text as written."""
    from_person: bool
    """Whether the person wrote it."""
    is_complete: bool = True
    """Whether its delivery was completed."""
    is_last: bool = False
    """Whether it is the last message of a model's answer."""
    rating: int | None = None
    """The person's rating of the answer."""
    author: Author | None = None
    """The operator who wrote it; None: the bot, or the person."""
    at: datetime | None = None
    """When it was accepted; of a message to the person, when it was first sent."""


class Transcript:
    """Reads transcripts of one tenant's conversations."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def of_conversation(self, conversation_id: str, limit: int = 100) -> list[TranscriptLine]:
        """Return the newest lines, oldest first."""
        values = {"in_conversation": conversation_id, "limit": limit}
        async with self._database.read() as connection:
            asked = (await connection.execute(_asked(), values)).all()
            told = (await connection.execute(_told(), values)).all()
        lines = [
            TranscriptLine(row.sequence, row.event or "", row.payload["text"], from_person=True, at=row.received_at)
            for row in reversed(asked)
        ]
        lines += [_line(row) for row in reversed(told)]
        return sorted(lines, key=lambda line: (line.sequence, not line.from_person))[-limit:]


def _line(row: Any) -> TranscriptLine:
    is_last = row.turn is not None and row.id == row.last
    return TranscriptLine(
        row.sequence,
        row.key,
        row.text,
        from_person=False,
        is_complete=row.status == "sent",
        is_last=is_last,
        rating=row.rating,
        author=Author("operator", row.operator or "") if row.source == "operator" else None,
        at=row.created_at,
    )


@cache
def _asked() -> Select[Any]:
    event = InboundEvent
    columns: tuple[Any, ...] = (event.sequence, event.event, event.payload, event.received_at)
    here = event.conversation_id == bindparam("in_conversation")
    return (
        select(*columns)
        .where(here, event.source == "customer")
        .order_by(event.sequence.desc())
        .limit(bindparam("limit"))
    )


@cache
def _told() -> Select[Any]:
    row, parts = OutboundMessage, OutboundMessage.__table__.alias("parts")
    last = select(func.max(parts.c.id)).where(parts.c.inbound_id == row.inbound_id).correlate(row)
    rated = (
        select(Feedback.rating).where(Feedback.turn_id == Turn.id).order_by(Feedback.id.desc()).limit(1).correlate(Turn)
    )
    answered = and_(
        Turn.conversation_id == InboundEvent.conversation_id,
        Turn.sequence == InboundEvent.sequence,
        Turn.status == "done",
    )
    columns: tuple[Any, ...] = (
        InboundEvent.sequence,
        row.key,
        row.text,
        row.id,
        row.status,
        Turn.id.label("turn"),
        last.scalar_subquery().label("last"),
        rated.scalar_subquery().label("rating"),
        row.created_at,
        InboundEvent.source,
        Operator.display_name.label("operator"),
    )
    return (
        select(*columns)
        .join(InboundEvent, InboundEvent.id == row.inbound_id)
        .outerjoin(Turn, answered)
        .outerjoin(Operator, Operator.id == InboundEvent.operator_id)
        .where(row.conversation_id == bindparam("in_conversation"), row.message_id.is_not(None))
        .order_by(row.id.desc())
        .limit(bindparam("limit"))
    )
