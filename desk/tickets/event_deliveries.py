"""The stored deliveries of tickets' events to webhooks and operators' rooms, in the order of each ticket."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from uuid_utils import uuid7

from qwendesk.errors import StoreError
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.event_deliveries import EventDelivery, EventReader
from qwendesk.memory.tables.tickets import TicketEvent
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

ROOM_PREFIX = "operators_room:"
"""Begins the name of a reader that is an operators' room; its channel follows."""
RETRY_PAUSES: tuple[timedelta, ...] = (
    timedelta(seconds=5),
    timedelta(seconds=30),
    timedelta(minutes=2),
    timedelta(minutes=10),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
)
"""Pauses between tries, about 32 hours in all; each is lengthened by up to a fifth at random."""
_JITTER = 0.2
_COMMITTED_LATE = timedelta(minutes=5)
"""Time within which an event that was made earlier may still be committed."""
_STORE_READ_UNTIL = timedelta(minutes=1)
"""How often it is stored up to when there was nothing to send."""
_FED_AT_ONCE = 500
_KEEP_DONE, _KEEP_FAILED = timedelta(days=7), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class ClaimedDelivery:
    """A delivery that this process sends."""

    id: str
    event_id: str
    kind: str
    ticket_id: str
    attempt: int
    """Number of this try, from 1."""
    parts_sent: int
    """Messages of it that a try before has sent."""


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A delivery that was given up."""

    id: str
    reader: str
    ticket_id: str
    kind: str
    attempts: int
    response_status: int | None
    error: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryCounts:
    """The deliveries to a reader by status."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    last_error: str | None = None
    """Why the newest delivery that is not done failed last; None: none did."""


class EventDeliveries:
    """The deliveries of one tenant, to webhooks or to operators' rooms.

    Args:
        database: the tenant's view of the database.
        to_rooms: whether lists and counts are those of operators' rooms; False: those of webhooks.
    """

    def __init__(self, database: TenantDatabase, *, to_rooms: bool = False) -> None:
        self._database = database
        of_room = EventDelivery.reader.startswith(ROOM_PREFIX, autoescape=True)
        self._mine = of_room if to_rooms else ~of_room

    @unit_of_work
    async def register(self, reader: str, since: datetime) -> None:
        """Store a reader: events from then on are delivered to it; one that is known stays as it is."""
        row = {"id": str(uuid7()), "name": reader, "started_at": since, "read_until": since}
        statement = upsert(self._database.dialect, EventReader)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_nothing(index_elements=["tenant_id", "name"]), row)

    @unit_of_work
    async def feed(self, reader: str, now: datetime, kinds: Collection[str] | None = None) -> int:
        """Store a delivery for each event that has none; return their number.

        Args:
            reader: the reader's name.
            now: the time.
            kinds: the kinds of events that the reader gets; None: all.
        """
        async with self._database.read() as connection:
            known = (await connection.execute(select(EventReader).where(EventReader.name == reader))).one_or_none()
            if known is None:
                return 0
            missing = (await connection.execute(_without_delivery(known, kinds))).all()
        is_all = len(missing) < _FED_AT_ONCE
        if not missing and now - known.read_until < _STORE_READ_UNTIL:
            return 0
        rows = [
            {
                "id": str(uuid7()),
                "reader": reader,
                "event_id": event.id,
                "ticket_id": event.ticket_id,
                "kind": event.kind,
                "next_at": now,
                "created_at": now,
            }
            for event in missing
        ]
        once = upsert(self._database.dialect, EventDelivery).on_conflict_do_nothing(
            index_elements=["tenant_id", "reader", "event_id"]
        )
        read_until = now if is_all else missing[-1].at
        async with self._database.write() as connection:
            if rows:
                await connection.execute(once, rows)
            here = (EventReader.id == known.id) & (EventReader.read_until < read_until)
            await connection.execute(update(EventReader).where(here).values(read_until=read_until))
        return len(rows)

    @unit_of_work
    async def claim(self, reader: str, now: datetime, lease: timedelta, limit: int) -> list[ClaimedDelivery]:
        """Claim deliveries that are due, the first one of each ticket only, and begin a try of each.

        Args:
            reader: the reader's name.
            now: the time.
            lease: time after which another process may claim a delivery that is not finished.
            limit: the most deliveries.
        """
        delivery, earlier = EventDelivery, EventDelivery.__table__.alias("earlier")
        is_due = (delivery.reader == reader) & (delivery.status == "waiting") & (delivery.next_at <= now)
        has_earlier = exists(earlier.c.id).where(
            earlier.c.reader == delivery.reader,
            earlier.c.ticket_id == delivery.ticket_id,
            earlier.c.status == "waiting",
            earlier.c.event_id < delivery.event_id,
        )
        first = select(delivery.id).where(is_due, ~has_earlier).order_by(delivery.event_id).limit(limit)
        columns: tuple[Any, ...] = tuple(
            getattr(delivery, name) for name in ("id", "event_id", "kind", "ticket_id", "attempts", "parts_sent")
        )
        async with self._database.read() as connection:
            ids = list((await connection.execute(first)).scalars())
        if not ids:
            return []
        # a process that was faster has set next_at
        begin = (
            update(delivery)
            .where(delivery.id.in_(ids), is_due)
            .values(attempts=delivery.attempts + 1, next_at=now + lease)
            .returning(*columns)
        )
        async with self._database.write() as connection:
            rows = (await connection.execute(begin)).all()
        return [ClaimedDelivery(*row) for row in sorted(rows, key=lambda row: row.event_id)]

    @unit_of_work
    async def finish(
        self,
        claimed: ClaimedDelivery,
        *,
        response_status: int | None,
        error: str | None,
        next_at: datetime | None,
        is_counted: bool = True,
    ) -> None:
        """Store the result of a try; a delivery that another process has claimed meanwhile stays as it is.

        Args:
            claimed: the delivery.
            response_status: a webhook's HTTP status; None: there was no answer.
            error: why it failed; None: it did not.
            next_at: when it is tried again; None: it is done, or given up.
            is_counted: whether it uses up a try; a wait that the platform asks for does not.
        """
        delivery = EventDelivery
        status = "done" if error is None else "waiting" if next_at else "failed"
        values: dict[str, Any] = {"status": status, "response_status": response_status, "error": error}
        if next_at:
            values["next_at"] = next_at
        else:
            values["finished_at"] = datetime.now(UTC)
        if not is_counted:
            values["attempts"] = delivery.attempts - 1
        here = (delivery.id == claimed.id) & (delivery.status == "waiting") & (delivery.attempts == claimed.attempt)
        async with self._database.write() as connection:
            await connection.execute(update(delivery).where(here).values(**values))

    @unit_of_work
    async def note_part(self, claimed: ClaimedDelivery, parts_sent: int) -> None:
        """Store how many messages of a delivery are sent."""
        here = EventDelivery.id == claimed.id
        async with self._database.write() as connection:
            await connection.execute(update(EventDelivery).where(here).values(parts_sent=parts_sent))

    @asynccontextmanager
    async def holding(self, claimed: ClaimedDelivery, lease: timedelta) -> AsyncIterator[None]:
        """Keep a claim while its delivery is made, such as while a message is translated."""

        async def renew() -> None:
            here = (EventDelivery.id == claimed.id) & (EventDelivery.attempts == claimed.attempt)
            while True:
                await asyncio.sleep(lease.total_seconds() / 3)
                with suppress(StoreError):
                    async with self._database.write() as connection:
                        values = {"next_at": datetime.now(UTC) + lease}
                        await connection.execute(update(EventDelivery).where(here).values(**values))

        renewing = asyncio.create_task(renew())
        try:
            yield
        finally:
            renewing.cancel()
            await asyncio.gather(renewing, return_exceptions=True)

    async def failed(self, limit: int = 100) -> list[FailedDelivery]:
        """Return the deliveries that were given up, newest first."""
        delivery = EventDelivery
        columns: tuple[Any, ...] = (
            delivery.id,
            delivery.reader,
            delivery.ticket_id,
            delivery.kind,
            delivery.attempts,
            delivery.response_status,
            delivery.error,
            delivery.created_at,
            delivery.finished_at,
        )
        statement = (
            select(*columns)
            .where(delivery.status == "failed", self._mine)
            .order_by(delivery.event_id.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [FailedDelivery(*row) for row in await connection.execute(statement)]

    async def counts(self) -> dict[str, DeliveryCounts]:
        """Return the deliveries by reader and status."""
        delivery = EventDelivery
        by_status = select(delivery.reader, delivery.status, func.count()).where(self._mine)
        by_status = by_status.group_by(delivery.reader, delivery.status)
        unsent = select(delivery.reader, delivery.error).where(delivery.status != "done", delivery.error.is_not(None))
        async with self._database.read() as connection:
            counted = (await connection.execute(by_status)).all()
            errors = {row[0]: row[1] for row in await connection.execute(unsent.order_by(delivery.event_id))}
        found: dict[str, dict[str, Any]] = {}
        for name, status, count in counted:
            found.setdefault(name, {})[status] = count
        return {name: DeliveryCounts(**counts, last_error=errors.get(name)) for name, counts in found.items()}

    @unit_of_work
    async def retry(self, ids: Sequence[str] | None) -> int:
        """Try deliveries that were given up again, as if for the first time; return their number.

        Args:
            ids: their ids; None: all of them.
        """
        delivery = EventDelivery
        here: ColumnElement[bool] = (delivery.status == "failed") & self._mine
        if ids is not None:
            here &= delivery.id.in_(ids)
        renewed = {"status": "waiting", "attempts": 0, "next_at": datetime.now(UTC), "finished_at": None}
        async with self._database.write() as connection:
            return int((await connection.execute(update(delivery).where(here).values(**renewed))).rowcount)

    @unit_of_work
    async def prune(self, now: datetime) -> None:
        """Delete deliveries that ended long ago, and those that have waited as long for a reader that was removed."""
        delivery = EventDelivery
        async with self._database.write() as connection:
            for status, keep in (("done", _KEEP_DONE), ("failed", _KEEP_FAILED)):
                await _delete(connection, (delivery.status == status) & (delivery.finished_at < now - keep))
            # one that is served is tried, and ends, long before
            left = (delivery.status == "waiting") & (delivery.next_at < now - _KEEP_FAILED)
            await _delete(connection, left)


def next_try(
    attempt: int, wait: timedelta = timedelta(), pauses: Sequence[timedelta] = RETRY_PAUSES
) -> datetime | None:
    """Return when a delivery is tried again after a failure; None: it is given up.

    Args:
        attempt: number of the try that has failed, from 1.
        wait: the pause that the receiver asks for.
        pauses: pauses between tries.
    """
    if attempt > len(pauses):
        return None
    pause = pauses[attempt - 1] * (1 + random.uniform(0, _JITTER))
    return datetime.now(UTC) + max(pause, wait)


async def _delete(connection: TenantConnection, old: ColumnElement[bool]) -> None:
    await connection.execute(delete(EventDelivery).where(old))


def _without_delivery(known: Any, kinds: Collection[str] | None) -> Any:
    """Return the query of the events that a reader has no delivery of, oldest first."""
    event, delivery = TicketEvent, EventDelivery
    since = max(known.started_at, known.read_until - _COMMITTED_LATE)
    has_delivery = exists(delivery.id).where(delivery.event_id == event.id, delivery.reader == known.name)
    statement = select(event.id, event.ticket_id, event.kind, event.at).where(event.at >= since, ~has_delivery)
    if kinds is not None:
        statement = statement.where(event.kind.in_(kinds))
    return statement.order_by(event.id).limit(_FED_AT_ONCE)
