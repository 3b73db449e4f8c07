"""Failed, lost and old messages: list, retry, dismiss, requeue, prune."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, false, func, null, or_, select, update

from qwendesk.desk.inbox.records import OPEN, Enqueue, FailedMessage
from qwendesk.desk.inbox.repository import stored_answer
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage, RateBucket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.steady_clock import SteadyClock


class FailedMessages:
    """Messages of one tenant that were given up or lost, and rows that are no longer needed."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._clock = SteadyClock()

    async def count(self) -> int:
        """Count the messages that were given up."""
        statement = select(func.count()).select_from(InboundEvent).where(_is_given_up())
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def messages(self, limit: int = 100) -> list[FailedMessage]:
        """Return the messages that were given up, newest first."""
        event = InboundEvent
        columns: tuple[Any, ...] = (
            event.id,
            event.channel,
            event.person,
            event.payload,
            event.status,
            event.error,
            event.received_at,
            event.runs,
        )
        statement = select(*columns).where(_is_given_up()).order_by(event.received_at.desc()).limit(limit)
        async with self._database.read() as connection:
            return [_failed_message(row) for row in await connection.execute(statement)]

    @unit_of_work
    async def retry(self, id_: str, enqueue: Enqueue) -> bool:
        """Enqueue a failed message again; False if no such message has this id.

        Where its answer is stored, only the delivery is repeated.
        """
        event = InboundEvent
        reopen = (
            update(event)
            .where(event.id == id_, _is_given_up())
            .values(status="queued", error=None, finished_at=None, forgiven_runs=event.runs, cancel_requested=false())
            .returning(event.conversation_id, event.sequence, event.saved_reply)
        )
        async with self._database.write() as connection:
            row = (await connection.execute(reopen)).one_or_none()
            if row is None:
                return False
            if await _is_answered(connection, row):
                failed = (OutboundMessage.inbound_id == id_) & (OutboundMessage.status == "failed")
                await connection.execute(update(OutboundMessage).where(failed).values(status="queued", error=None))
            else:
                # a new generation has new delivery keys: delivered parts stay delivered
                renewed = {"generation": event.generation + 1, "saved_reply": null()}
                await connection.execute(update(event).where(event.id == id_).values(**renewed))
            await connection.raw.run_sync(enqueue, id_, row.conversation_id, row.sequence)
        return True

    @unit_of_work
    async def dismiss(self, id_: str) -> bool:
        """Close a message that was given up, without an answer; False if no such message has this id."""
        statement = update(InboundEvent).where(InboundEvent.id == id_, _is_given_up()).values(status="stopped")
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount)

    async def open_since(self, before: datetime, limit: int = 100) -> list[str]:
        """Return the ids of the oldest open messages received before then.

        A message received after now, by a clock that was set back since, counts as old.
        """
        event = InboundEvent
        old = or_(event.received_at < before, event.received_at > datetime.now(UTC))
        statement = select(event.id).where(OPEN, old).order_by(event.received_at).limit(limit)
        async with self._database.read() as connection:
            return list((await connection.execute(statement)).scalars())

    @unit_of_work
    async def requeue(self, id_: str, enqueue: Enqueue) -> bool:
        """Enqueue an open message again; False if it is not open."""
        statement = select(InboundEvent.conversation_id, InboundEvent.sequence).where(InboundEvent.id == id_, OPEN)
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                return False
            await connection.raw.run_sync(enqueue, id_, row.conversation_id, row.sequence)
        return True

    @unit_of_work
    async def prune(self, before: datetime, limit: int = 200) -> int:
        """Delete at most ``limit`` messages completed before then, with files and deliveries; return the count.

        The conversation's history in the memory is kept.
        """
        old = select(InboundEvent.id).where(InboundEvent.finished_at < before).limit(limit)
        statement = delete(InboundEvent).where(InboundEvent.id.in_(old)).returning(InboundEvent.id)
        async with self._database.write() as connection:
            return len((await connection.execute(statement)).all())

    @unit_of_work
    async def prune_rate_limits(self, before: datetime) -> None:
        """Delete rate limits that were not used since then.

        A rate limit from the future, stored before the system's clock was set back, refills from now on.
        """
        now = bindparam("now", type_=RateBucket.updated_at.type)
        async with self._database.write() as connection:
            await connection.execute(delete(RateBucket).where(RateBucket.updated_at < before.timestamp()))
            refill = update(RateBucket).where(RateBucket.updated_at > now).values(updated_at=now)
            await connection.execute(refill, {"now": self._clock.now()})


def _is_given_up() -> ColumnElement[bool]:
    return InboundEvent.status.in_(["dead", "failed"])


async def _is_answered(connection: TenantConnection, row: Any) -> bool:
    """Return whether only the delivery is left: the answer of a model or a command is stored."""
    if row.saved_reply and row.saved_reply["outcome"] == "done":
        return True
    return await stored_answer(connection, row.conversation_id, row.sequence) is not None


def _failed_message(row: Any) -> FailedMessage:
    payload = row.payload
    return FailedMessage(
        id=row.id,
        channel=row.channel,
        conversation=payload["conversation"],
        person=row.person,
        text=payload["text"],
        status=row.status,
        error=row.error or "",
        received_at=row.received_at,
        runs=row.runs,
    )
