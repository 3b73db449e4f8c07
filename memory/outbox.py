"""Messages to people: each is claimed before it is sent and marked once it is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, Update, bindparam, literal_column, select, update
from sqlalchemy.sql.dml import ReturningInsert
from uuid_utils import uuid7

from qwendesk.memory.desk_tables import InboundEvent, OutboundMessage
from qwendesk.memory.inbox import Arrived, Outcome, close_event
from qwendesk.memory.inbox_statements import upsert
from qwendesk.memory.scope import TenantDatabase


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send one message."""

    key: str
    message_id: str | None
    """The platform's name for it where it is there already, complete or not."""
    attempts: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """A message to a person as it was stored."""

    key: str
    text: str
    status: str
    message_id: str | None
    attempts: int
    error: str | None


@dataclass(frozen=True, slots=True)
class Ending:
    """The last message of an answer, as it was delivered."""

    key: str
    message_id: str
    text: str
    plain: str


class Outbox:
    """The messages of one tenant that go out."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._dialect = database.dialect

    async def claim(self, arrived: Arrived, part: int, text: str, plain: str = "") -> Claim | None:
        """Store a part of an answer as being sent; None where it was sent, or another run has the message."""
        return await self._database.whole(self._claim(arrived, part, text, plain))

    async def posted(self, key: str, message_id: str) -> None:
        """Keep the platform's name of a message that is not complete yet."""
        await self._database.whole(self._change(_mark(), {"key_": key, "status_": "sending", "id_": message_id}))

    async def sent(
        self, key: str, message_id: str | None, closing: tuple[Arrived, Outcome, str | None] | None = None
    ) -> None:
        """Mark a message as delivered, and with it, in the same transaction, what it answers as finished."""
        await self._database.whole(self._sent(key, message_id, closing))

    async def failed(self, key: str, error: str) -> None:
        """Give a message up."""
        await self._database.whole(self._change(_mark_failed(), {"key_": key, "why": error}))

    async def of_conversation(self, conversation_id: str, limit: int = 1000) -> list[Delivered]:
        """Return what went to a conversation, oldest first."""
        values = {"in_conversation": conversation_id, "limit": limit}
        async with self._database.read() as connection:
            return [Delivered(*row) for row in await connection.execute(_of_conversation(), values)]

    async def ending_of(self, conversation_id: str, seq: int) -> Ending | None:
        """Return the last message of the answer at a place of a conversation; None where none was delivered."""
        async with self._database.read() as connection:
            values = {"in_conversation": conversation_id, "at": seq}
            row = (await connection.execute(_ending(), values)).one_or_none()
        return Ending(*row) if row else None

    async def place_of(self, conversation_id: str, message_id: str) -> int | None:
        """Return the place in a conversation of the answer that a message, by its platform's name, is part of."""
        async with self._database.read() as connection:
            values = {"in_conversation": conversation_id, "named": message_id}
            place: int | None = (await connection.execute(_place(), values)).scalar_one_or_none()
        return place

    async def _claim(self, arrived: Arrived, part: int, text: str, plain: str) -> Claim | None:
        values = {
            "new_id": str(uuid7()),
            "new_key": f"{arrived.id}:{part}",
            "new_part": part,
            "new_text": text,
            "new_plain": plain,
            "now": datetime.now(UTC),
            "event_id": arrived.id,
            "run": arrived.run,
        }
        async with self._database.single() as connection:
            row = (await connection.execute(_claim(self._dialect), values)).one_or_none()
        return Claim(*row) if row else None

    async def _sent(
        self, key: str, message_id: str | None, closing: tuple[Arrived, Outcome, str | None] | None
    ) -> None:
        async with self._database.write() as connection:
            values = {"key_": key, "id_": message_id, "now": datetime.now(UTC)}
            await connection.execute(_mark_sent(), values)
            if closing:
                arrived, outcome, error = closing
                await close_event(connection, arrived.id, arrived.run, outcome, error)

    async def _change(self, statement: Update, values: dict[str, Any]) -> None:
        async with self._database.single() as connection:
            await connection.execute(statement, values)


@cache
def _claim(dialect: str) -> ReturningInsert[str, str | None, int]:
    row = OutboundMessage
    source = select(
        bindparam("new_id", type_=row.id.type),
        InboundEvent.tenant_id,
        bindparam("new_key", type_=row.key.type),
        InboundEvent.id,
        InboundEvent.conversation_id,
        bindparam("new_part", type_=row.part.type),
        bindparam("new_text", type_=row.text.type),
        bindparam("new_plain", type_=row.plain.type),
        literal_column("'sending'"),
        literal_column("1"),
        bindparam("now", type_=row.created_at.type),
    ).where(InboundEvent.id == bindparam("event_id"), InboundEvent.runs == bindparam("run"))
    names = ["id", "tenant_id", "key", "inbound_id", "conversation_id", "part", "text", "plain", "status"]
    statement = upsert(dialect, row).from_select([*names, "attempts", "created_at"], source)
    return statement.on_conflict_do_update(
        index_elements=["key"],
        set_={
            "text": statement.excluded.text,
            "plain": statement.excluded.plain,
            "status": "sending",
            "attempts": row.attempts + 1,
        },
        where=row.status.in_(["queued", "sending"]),
    ).returning(row.key, row.message_id, row.attempts)


@cache
def _mark() -> Update:
    row = OutboundMessage
    return (
        update(row).where(row.key == bindparam("key_")).values(status=bindparam("status_"), message_id=bindparam("id_"))
    )


@cache
def _mark_sent() -> Update:
    row = OutboundMessage
    changes: dict[str, Any] = {
        "status": "sent",
        "message_id": bindparam("id_"),
        "sent_at": bindparam("now"),
        "error": None,
    }
    return update(row).where(row.key == bindparam("key_")).values(**changes)


@cache
def _mark_failed() -> Update:
    row = OutboundMessage
    return update(row).where(row.key == bindparam("key_")).values(status="failed", error=bindparam("why"))


@cache
def _of_conversation() -> Select[Any]:
    row = OutboundMessage
    columns: tuple[Any, ...] = (row.key, row.text, row.status, row.message_id, row.attempts, row.error)
    here = row.conversation_id == bindparam("in_conversation")
    return select(*columns).where(here).order_by(row.id).limit(bindparam("limit"))


@cache
def _ending() -> Select[Any]:
    row = OutboundMessage
    here = (InboundEvent.conversation_id == bindparam("in_conversation")) & (InboundEvent.seq == bindparam("at"))
    columns: tuple[Any, ...] = (row.key, row.message_id, row.text, row.plain)
    return (
        select(*columns)
        .join(InboundEvent, InboundEvent.id == row.inbound_id)
        .where(here, row.status == "sent", row.message_id.is_not(None))
        .order_by(row.part.desc())
        .limit(1)
    )


@cache
def _place() -> Select[Any]:
    row = OutboundMessage
    here = (row.conversation_id == bindparam("in_conversation")) & (row.message_id == bindparam("named"))
    return (
        select(InboundEvent.seq)
        .join(row, row.inbound_id == InboundEvent.id)
        .where(here)
        .order_by(row.id.desc())
        .limit(1)
    )
