"""Messages to people: each is claimed before it is sent and marked once it is there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, bindparam, literal, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert
from uuid_utils import uuid7

from qwendesk.desk.inbox.records import Arrived, Outcome
from qwendesk.desk.inbox.repository import close_event
from qwendesk.desk.inbox.statements import upsert
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tenancy import TenantDatabase


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
        return await self._database.shield(self._claim(arrived, part, text, plain))

    async def posted(self, arrived: Arrived, key: str, message_id: str) -> None:
        """Keep the platform's name of a message that is not complete yet."""
        await self._database.shield(self._change(_mark_posted(), {**_held(arrived, key), "id_": message_id}))

    async def sent(
        self, arrived: Arrived, key: str, message_id: str | None, closing: tuple[Outcome, str | None] | None = None
    ) -> None:
        """Mark a message as delivered, and with it, in the same transaction, what it answers as finished."""
        await self._database.shield(self._sent(arrived, key, message_id, closing))

    async def failed(self, arrived: Arrived, key: str, error: str, closing: tuple[Outcome, str | None]) -> None:
        """Give a message up, and with it, in the same transaction, what it answers."""
        await self._database.shield(self._failed(arrived, key, error, closing))

    async def of_conversation(self, conversation_id: str, limit: int = 100) -> list[Delivered]:
        """Return what went to a conversation, the newest of it, oldest first."""
        values = {"in_conversation": conversation_id, "limit": limit}
        async with self._database.read() as connection:
            found = (await connection.execute(_of_conversation(), values)).all()
        return [Delivered(*row) for row in reversed(found)]

    async def ending_of(self, conversation_id: str, sequence: int) -> Ending | None:
        """Return the last message of the answer at a place of a conversation; None where none was delivered."""
        async with self._database.read() as connection:
            values = {"in_conversation": conversation_id, "at": sequence}
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
            "new_key": key_of(arrived, part),
            "new_part": part,
            "new_text": text,
            "new_plain": plain,
            "now": datetime.now(UTC),
            "event_id": arrived.id,
            "run": arrived.run,
        }
        async with self._database.write() as connection:
            row = (await connection.execute(_claim(self._dialect), values)).one_or_none()
        return Claim(*row) if row else None

    async def _sent(
        self, arrived: Arrived, key: str, message_id: str | None, closing: tuple[Outcome, str | None] | None
    ) -> None:
        async with self._database.write() as connection:
            values = {**_held(arrived, key), "id_": message_id, "now": datetime.now(UTC)}
            await connection.execute(_mark_sent(), values)
            if closing:
                await close_event(connection, arrived.id, arrived.run, *closing)

    async def _failed(self, arrived: Arrived, key: str, error: str, closing: tuple[Outcome, str | None]) -> None:
        async with self._database.write() as connection:
            await connection.execute(_mark_failed(), {**_held(arrived, key), "why": error})
            await close_event(connection, arrived.id, arrived.run, *closing)

    async def _change(self, statement: Update, values: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await connection.execute(statement, values)


def key_of(arrived: Arrived, part: int) -> str:
    """Return the key of a part of an answer; one that is given anew has other keys than the one before."""
    renewed = f".{arrived.generation}" if arrived.generation else ""
    return f"{arrived.id}{renewed}:{part}"


def _held(arrived: Arrived, key: str) -> dict[str, Any]:
    return {"key_": key, "event_id": arrived.id, "run": arrived.run}


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
        literal("sending"),
        literal(1),
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
        where=_is_unsent(),
    ).returning(row.key, row.message_id, row.attempts)


def _is_unsent() -> ColumnElement[bool]:
    return OutboundMessage.status.in_(["queued", "sending"])


def _mark() -> Update:
    """Change a message that is still being sent: what another run has brought further stays so."""
    row = OutboundMessage
    return update(row).where(row.key == bindparam("key_"), _is_unsent())


def _by_newest() -> ColumnElement[bool]:
    event = InboundEvent
    newest = select(event.id).where(event.id == bindparam("event_id"), event.runs == bindparam("run"))
    return OutboundMessage.inbound_id.in_(newest)


def _is_ours_or_unposted() -> ColumnElement[bool]:
    # what a relieved run has sent is there, so that the newest one need not send it, unless it has posted its own
    return or_(_by_newest(), OutboundMessage.message_id.is_(None))


@cache
def _mark_posted() -> Update:
    return _mark().where(_is_ours_or_unposted()).values(status="sending", message_id=bindparam("id_"))


@cache
def _mark_sent() -> Update:
    changes: dict[str, Any] = {
        "status": "sent",
        "message_id": bindparam("id_"),
        "sent_at": bindparam("now"),
        "error": None,
    }
    return _mark().where(_is_ours_or_unposted()).values(**changes)


@cache
def _mark_failed() -> Update:
    return _mark().where(_by_newest()).values(status="failed", error=bindparam("why"))


@cache
def _of_conversation() -> Select[Any]:
    row = OutboundMessage
    columns: tuple[Any, ...] = (row.key, row.text, row.status, row.message_id, row.attempts, row.error)
    here = row.conversation_id == bindparam("in_conversation")
    return select(*columns).where(here).order_by(row.id.desc()).limit(bindparam("limit"))


@cache
def _ending() -> Select[Any]:
    row = OutboundMessage
    here = (InboundEvent.conversation_id == bindparam("in_conversation")) & (InboundEvent.sequence == bindparam("at"))
    columns: tuple[Any, ...] = (row.key, row.message_id, row.text, row.plain)
    return (
        select(*columns)
        .join(InboundEvent, InboundEvent.id == row.inbound_id)
        .where(here, row.status == "sent", row.message_id.is_not(None))
        .order_by(row.id.desc())
        .limit(1)
    )


@cache
def _place() -> Select[Any]:
    row = OutboundMessage
    here = (row.conversation_id == bindparam("in_conversation")) & (row.message_id == bindparam("named"))
    return (
        select(InboundEvent.sequence)
        .join(row, row.inbound_id == InboundEvent.id)
        .where(here)
        .order_by(row.id.desc())
        .limit(1)
    )
