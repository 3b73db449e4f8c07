"""What was said in a conversation, from what came in and what was delivered: for a page that is opened again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import Select, and_, bindparam, func, select

from qwendesk.memory.tables.conversations import Feedback, Turn
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tenancy import TenantDatabase


@dataclass(frozen=True, slots=True)
class Line:
    """One message of a conversation."""

    sequence: int
    """The place of the question in the conversation."""
    key: str
    """The delivery's name; of a person's message, the platform's name for it."""
    text: str
    """As it was delivered, with markup; of a person's message, as it was written."""
    said: bool
    """Whether the person wrote it."""
    whole: bool = True
    """Whether it was delivered to its end."""
    ends: bool = False
    """Whether it is the last message of a model's answer."""
    rating: int | None = None
    """What the person thought of the answer."""


class PastLines:
    """Reads what was said."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def of_conversation(self, conversation_id: str, limit: int = 100) -> list[Line]:
        """Return the newest lines, oldest first."""
        values = {"in_conversation": conversation_id, "limit": limit}
        async with self._database.read() as connection:
            asked = (await connection.execute(_asked(), values)).all()
            told = (await connection.execute(_told(), values)).all()
        lines = [Line(row.sequence, row.event or "", row.payload["text"], said=True) for row in reversed(asked)]
        lines += [_line(row) for row in reversed(told)]
        return sorted(lines, key=lambda line: (line.sequence, not line.said))[-limit:]


def _line(row: Any) -> Line:
    ends = row.turn is not None and row.id == row.last
    return Line(row.sequence, row.key, row.text, said=False, whole=row.status == "sent", ends=ends, rating=row.rating)


@cache
def _asked() -> Select[Any]:
    event = InboundEvent
    columns: tuple[Any, ...] = (event.sequence, event.event, event.payload)
    here = event.conversation_id == bindparam("in_conversation")
    return select(*columns).where(here).order_by(event.sequence.desc()).limit(bindparam("limit"))


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
    )
    return (
        select(*columns)
        .join(InboundEvent, InboundEvent.id == row.inbound_id)
        .outerjoin(Turn, answered)
        .where(row.conversation_id == bindparam("in_conversation"), row.message_id.is_not(None))
        .order_by(row.id.desc())
        .limit(bindparam("limit"))
    )
