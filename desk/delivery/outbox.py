"""Outbound messages: claimed before they are sent, marked afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, bindparam, literal, or_, select, update
from sqlalchemy.sql.dml import ReturningInsert
from uuid_utils import uuid7

from qwendesk.desk.inbox.repository import OPEN, ClaimedMessage, Outcome, complete_event, key_of
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantDatabase


@dataclass(frozen=True, slots=True)
class SendClaim:
    """A claim to send one message."""

    key: str
    message_id: str | None
    """Its platform id where it was posted already, complete or not."""
    attempts: int


@dataclass(frozen=True, slots=True)
class LastPart:
    """The last delivered message of an answer."""

    key: str
    message_id: str
    text: str
    plain: str


class OutboxRepository:
    """The outbound messages of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._dialect = database.dialect

    async def claim(
        self, claimed: ClaimedMessage, part: int, text: str, plain: str = "", *, by_bot: bool = False
    ) -> SendClaim | None:
        """Store a part of an answer as being sent; None if it was sent or its message has a newer run.

        Args:
            claimed: the message that is answered.
            part: number of the part, from 0.
            text: its text.
            plain: its text without markup.
            by_bot: the bot speaks: None, too, if the message's ticket waits for a person or one holds it.
        """
        return await self._database.shield(self._claim(claimed, part, text, plain, by_bot))

    async def is_withheld(self, claimed: ClaimedMessage, part: int) -> bool:
        """Return whether a part of the bot's answer was not sent because a person is to answer."""
        values = {"event_id": claimed.id, "run": claimed.run, "key_": key_of(claimed, part)}
        async with self._database.read() as connection:
            return (await connection.execute(_withheld(), values)).one_or_none() is not None

    async def posted(self, claimed: ClaimedMessage) -> LastPart | None:
        """Return the first part of an answer if it was posted while it was written, and is not complete."""
        async with self._database.read() as connection:
            row = (await connection.execute(_posted(), {"key_": key_of(claimed, 0)})).one_or_none()
        return LastPart(*row) if row else None

    async def mark_posted(self, claimed: ClaimedMessage, key: str, message_id: str) -> None:
        """Store the platform id of a message whose text is not complete."""
        await self._database.shield(self._change(_mark_posted(), {**_held(claimed, key), "id_": message_id}))

    async def mark_sent(
        self,
        claimed: ClaimedMessage,
        key: str,
        message_id: str | None,
        completion: tuple[Outcome, str | None] | None = None,
    ) -> None:
        """Mark a message as sent and, in the same transaction, complete the message it answers."""
        await self._database.shield(self._sent(claimed, key, message_id, completion))

    async def mark_failed(
        self, claimed: ClaimedMessage, key: str, error: str, completion: tuple[Outcome, str | None]
    ) -> None:
        """Mark a message as failed and, in the same transaction, complete the message it answers."""
        await self._database.shield(self._failed(claimed, key, error, completion))

    async def last_part(self, conversation_id: str, sequence: int) -> LastPart | None:
        """Return the last message of the answer to a message, by its number; None if none was delivered."""
        async with self._database.read() as connection:
            values = {"in_conversation": conversation_id, "at": sequence}
            row = (await connection.execute(_ending(), values)).one_or_none()
        return LastPart(*row) if row else None

    async def sequence_of(self, conversation_id: str, message_id: str) -> int | None:
        """Return the number of the message that was answered by a platform message."""
        async with self._database.read() as connection:
            values = {"in_conversation": conversation_id, "named": message_id}
            place: int | None = (await connection.execute(_place(), values)).scalar_one_or_none()
        return place

    async def _claim(self, claimed: ClaimedMessage, part: int, text: str, plain: str, by_bot: bool) -> SendClaim | None:
        values = {
            "new_id": str(uuid7()),
            "new_key": key_of(claimed, part),
            "new_part": part,
            "new_text": text,
            "new_plain": plain,
            "now": datetime.now(UTC),
            "event_id": claimed.id,
            "run": claimed.run,
        }
        async with self._database.write() as connection:
            row = (await connection.execute(_claim(self._dialect, by_bot), values)).one_or_none()
        return SendClaim(*row) if row else None

    async def _sent(
        self, claimed: ClaimedMessage, key: str, message_id: str | None, completion: tuple[Outcome, str | None] | None
    ) -> None:
        async with self._database.write() as connection:
            values = {**_held(claimed, key), "id_": message_id, "now": datetime.now(UTC)}
            await connection.execute(_mark_sent(), values)
            if completion:
                await complete_event(connection, claimed.id, claimed.run, *completion)

    async def _failed(
        self, claimed: ClaimedMessage, key: str, error: str, completion: tuple[Outcome, str | None]
    ) -> None:
        async with self._database.write() as connection:
            await connection.execute(_mark_failed(), {**_held(claimed, key), "why": error})
            await complete_event(connection, claimed.id, claimed.run, *completion)

    async def _change(self, statement: Update, values: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await connection.execute(statement, values)


def _held(claimed: ClaimedMessage, key: str) -> dict[str, Any]:
    return {"key_": key, "event_id": claimed.id, "run": claimed.run}


def _bot_may_speak() -> ColumnElement[bool]:
    """Compare a message's ticket with the state in which the bot answers; a message without a ticket is its own.

    A ticket that is resolved or snoozed while the bot answers lets the answer end, unless a person has held it.
    """
    is_set_aside = Ticket.state.in_(["resolved", "snoozed"]) & Ticket.operator_id.is_(None)
    may_end = is_set_aside & ~InboundEvent.cancel_requested
    its_own = select(Ticket.id).where(Ticket.id == InboundEvent.ticket_id, (Ticket.state == "bot") | may_end)
    return or_(InboundEvent.ticket_id.is_(None), its_own.correlate(InboundEvent).exists())


@cache
def _withheld() -> Select[Any]:
    sent = select(OutboundMessage.id).where(OutboundMessage.key == bindparam("key_"), ~_is_unsent())
    newest = (InboundEvent.id == bindparam("event_id")) & (InboundEvent.runs == bindparam("run"))
    return select(InboundEvent.id).where(newest, OPEN, ~_bot_may_speak(), ~sent.exists())


@cache
def _posted() -> Select[Any]:
    row = OutboundMessage
    columns: tuple[Any, ...] = (row.key, row.message_id, row.text, row.plain)
    return select(*columns).where(row.key == bindparam("key_"), _is_unsent(), row.message_id.is_not(None))


@cache
def _claim(dialect: str, by_bot: bool) -> ReturningInsert[str, str | None, int]:
    row = OutboundMessage
    may_speak = [_bot_may_speak()] if by_bot else []
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
    ).where(InboundEvent.id == bindparam("event_id"), InboundEvent.runs == bindparam("run"), *may_speak)
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
    """Begin an update of a message that is not sent yet; a message sent by another run stays unchanged."""
    row = OutboundMessage
    return update(row).where(row.key == bindparam("key_"), _is_unsent())


def _by_newest() -> ColumnElement[bool]:
    event = InboundEvent
    newest = select(event.id).where(event.id == bindparam("event_id"), event.runs == bindparam("run"))
    return OutboundMessage.inbound_id.in_(newest)


def _is_ours_or_unposted() -> ColumnElement[bool]:
    # a part sent by an older run need not be sent again, unless the newest run has posted its own
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
