"""The threads of tickets in operators' rooms, and the messages of the rooms that were handled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, select, update
from uuid_utils import uuid7

from qwendesk.desk.operator_rooms.room import OpenedThread
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.operator_rooms import HandledRoomMessage, RoomThread
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

_KEEP_HANDLED = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class RoomThreadRecord:
    """The thread of a ticket in an operators' room."""

    id: str
    ticket_id: str
    conversation: str
    head_id: str | None
    is_introduced: bool
    newest_sequence: int
    newest_event_id: str
    opened_at: datetime


_COLUMNS: tuple[Any, ...] = tuple(getattr(RoomThread, name) for name in RoomThreadRecord.__slots__)


class RoomThreads:
    """The threads of one channel's room, of one tenant.

    Args:
        database: the tenant's view of the database.
        channel: the channel.
    """

    def __init__(self, database: TenantDatabase, channel: str) -> None:
        self._database = database
        self._channel = channel

    async def of(self, ticket_id: str, room: str) -> RoomThreadRecord | None:
        """Return the thread of a ticket in a room; None: there is none."""
        return await self._find((RoomThread.ticket_id == ticket_id) & (RoomThread.room == room))

    async def at(self, conversation: str) -> RoomThreadRecord | None:
        """Return the thread of a conversation; None: it is none of a ticket."""
        return await self._find(RoomThread.conversation == conversation)

    @unit_of_work
    async def add(self, ticket_id: str, room: str, opened: OpenedThread) -> None:
        """Store the thread of a ticket."""
        row = {
            "id": str(uuid7()),
            "ticket_id": ticket_id,
            "channel": self._channel,
            "room": room,
            "conversation": opened.conversation,
            "head_id": opened.message_id,
            "opened_at": datetime.now(UTC),
        }
        adding = upsert(self._database.dialect, RoomThread).on_conflict_do_nothing()
        async with self._database.write() as connection:
            await connection.execute(adding, row)

    @unit_of_work
    async def set_head(self, thread: RoomThreadRecord, head_id: str | None) -> None:
        """Store the id of a thread's first message."""
        await self._update(thread, head_id=head_id)

    @unit_of_work
    async def set_introduced(self, thread: RoomThreadRecord, sequence: int, event_id: str) -> None:
        """Store that a thread shows its ticket up to a message and an event."""
        await self._update(thread, is_introduced=True, newest_sequence=sequence, newest_event_id=event_id)

    @unit_of_work
    async def remove(self, thread: RoomThreadRecord) -> None:
        """Forget a thread that was deleted on the platform; the ticket gets a new one."""
        async with self._database.write() as connection:
            await connection.execute(delete(RoomThread).where(RoomThread.id == thread.id))

    async def is_handled(self, event: str) -> bool:
        """Return whether a message of the room was handled before."""
        known = exists(HandledRoomMessage.id).where(
            HandledRoomMessage.channel == self._channel, HandledRoomMessage.event == event
        )
        async with self._database.read() as connection:
            return bool((await connection.execute(select(known))).scalar_one())

    @unit_of_work
    async def mark_handled(self, event: str) -> None:
        """Store that a message of the room was handled."""
        row = {"id": str(uuid7()), "channel": self._channel, "event": event, "handled_at": datetime.now(UTC)}
        adding = upsert(self._database.dialect, HandledRoomMessage).on_conflict_do_nothing()
        async with self._database.write() as connection:
            await connection.execute(adding, row)

    @unit_of_work
    async def prune(self, now: datetime) -> None:
        """Delete what says that messages were handled which no platform delivers again."""
        old = HandledRoomMessage.handled_at < now - _KEEP_HANDLED
        async with self._database.write() as connection:
            await connection.execute(delete(HandledRoomMessage).where(old))

    async def _find(self, condition: ColumnElement[bool]) -> RoomThreadRecord | None:
        statement = select(*_COLUMNS).where(RoomThread.channel == self._channel, condition)
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return RoomThreadRecord(*row) if row else None

    async def _update(self, thread: RoomThreadRecord, **values: Any) -> None:
        async with self._database.write() as connection:
            await connection.execute(update(RoomThread).where(RoomThread.id == thread.id).values(**values))
