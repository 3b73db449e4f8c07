"""Maintenance of the inbox: retry failed messages; periodically requeue lost messages and delete old rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, false, func, null, or_, select, update

from qwendesk.desk.access_repository import AccessRepository
from qwendesk.desk.inbox.acceptance import Enqueue
from qwendesk.desk.inbox.queue import DurableQueue
from qwendesk.desk.inbox.repository import OPEN, stored_answer
from qwendesk.errors import StoreError
from qwendesk.memory.conversations.pending import PendingTurns
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage, RateBucket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.periodic import PeriodicTask
from qwendesk.steady_clock import SteadyClock

_INTERVAL_SECONDS = 60.0
"""Seconds between two rounds; a round deletes in small batches, so that no other transaction waits for long."""
_PAUSE_BETWEEN_BATCHES_SECONDS = 0.05
_LOST_AFTER = timedelta(seconds=60)
_QUEUE_RETENTION_SECONDS = 24 * 3600.0
"""Seconds for which the queue keeps completed entries."""
_INBOX_RETENTION = timedelta(days=35)
"""How long a repeated delivery of a message is recognised; platforms give up long before."""
_ACCESS_REQUEST_RETENTION = timedelta(days=1)
"""How long an undecided access request is kept after its code expired."""
_BATCH_ROWS = 200
"""Rows deleted in one transaction."""
_RATE_LIMIT_RETENTION = timedelta(days=1)
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FailedMessage:
    """A message that could not be answered or delivered."""

    id: str
    channel: str
    conversation: str
    person: str
    text: str
    status: str
    error: str
    received_at: datetime
    runs: int


class InboxMaintenance:
    """Repairs the inbox of one tenant: failed messages, messages that the queue has lost, rows no longer needed."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._clock = SteadyClock()

    async def count_failed(self) -> int:
        """Count the messages that were given up."""
        statement = select(func.count()).select_from(InboundEvent).where(_is_given_up())
        async with self._database.read() as connection:
            return int((await connection.execute(statement)).scalar_one())

    async def failed_messages(self, limit: int = 100) -> list[FailedMessage]:
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
    async def drop_expired_turns(self) -> None:
        """Delete the states of turns that have waited too long for an approval."""
        await PendingTurns(self._database, "").drop_expired()

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


class PeriodicMaintenance:
    """Runs the maintenance every minute.

    Args:
        inbox: requeues and deletes messages.
        queue: the durable queue.
        access: deletes access requests.
        interval_seconds: time between two rounds.
        batch_rows: rows deleted in one transaction.
    """

    def __init__(
        self,
        inbox: InboxMaintenance,
        queue: DurableQueue,
        access: AccessRepository,
        interval_seconds: float = _INTERVAL_SECONDS,
        batch_rows: int = _BATCH_ROWS,
    ) -> None:
        self._inbox = inbox
        self._access = access
        self._queue = queue
        self._batch_rows = batch_rows
        self._task = PeriodicTask(self.once, interval_seconds, "maintenance")

    async def start(self) -> None:
        """Delete old rate limits now and start the periodic work."""
        with suppress(StoreError):  # the next round tries again
            await self._inbox.prune_rate_limits(datetime.now(UTC) - _RATE_LIMIT_RETENTION)
        self._task.start()

    async def stop(self) -> None:
        """Stop the periodic work."""
        await self._task.stop()

    async def once(self) -> None:
        """Requeue messages that the queue has lost and delete old rows."""
        waiting = await self._inbox.open_since(datetime.now(UTC) - _LOST_AFTER)
        for id_ in await self._queue.lost(waiting):
            if await self._inbox.requeue(id_, self._queue.enqueue):  # else it was completed meanwhile
                log.warning("A message that the queue had lost is requeued.")
        now = datetime.now(UTC)
        await self._in_batches(lambda: self._queue.prune(_QUEUE_RETENTION_SECONDS, self._batch_rows))
        await self._in_batches(lambda: self._inbox.prune(now - _INBOX_RETENTION, self._batch_rows))
        await self._inbox.prune_rate_limits(now - _RATE_LIMIT_RETENTION)
        await self._access.prune(now - _ACCESS_REQUEST_RETENTION)
        await self._inbox.drop_expired_turns()

    async def _in_batches(self, delete: Callable[[], Awaitable[int]]) -> None:
        """Delete batch after batch until nothing old is left."""
        while await delete() >= self._batch_rows:  # noqa: ASYNC110 - lets other tasks run
            await asyncio.sleep(_PAUSE_BETWEEN_BATCHES_SECONDS)
