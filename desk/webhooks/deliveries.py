"""The stored deliveries of webhooks: fed from tickets' events, claimed by one process, in the order of each ticket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, func, select, update
from uuid_utils import uuid7

from qwendesk.memory.database import upsert
from qwendesk.memory.tables.tickets import TicketEvent
from qwendesk.memory.tables.webhooks import Webhook, WebhookDelivery
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.webhook_settings import ALL_EVENTS, WebhookSettings

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
    attempt: int
    """Number of this try, from 1."""


@dataclass(frozen=True, slots=True)
class FailedDelivery:
    """A delivery that was given up."""

    id: str
    webhook: str
    ticket_id: str
    kind: str
    attempts: int
    response_status: int | None
    error: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class WebhookCounts:
    """The deliveries of a webhook by status."""

    waiting: int = 0
    done: int = 0
    failed: int = 0
    last_error: str | None = None
    """Why the newest delivery that is not done failed last; None: none did."""


class Deliveries:
    """The deliveries of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def register(self, webhook: str, now: datetime) -> None:
        """Store a webhook: later events are sent to it; one that is known stays as it is."""
        row = {"id": str(uuid7()), "name": webhook, "started_at": now, "read_until": now}
        statement = upsert(self._database.dialect, Webhook)
        async with self._database.write() as connection:
            await connection.execute(statement.on_conflict_do_nothing(index_elements=["tenant_id", "name"]), row)

    @unit_of_work
    async def feed(self, webhook: WebhookSettings, now: datetime) -> int:
        """Store a delivery for each event that has none; return their number."""
        async with self._database.read() as connection:
            known = (await connection.execute(select(Webhook).where(Webhook.name == webhook.label))).one_or_none()
            if known is None:
                return 0
            missing = (await connection.execute(_without_delivery(webhook, known))).all()
        is_all = len(missing) < _FED_AT_ONCE
        if not missing and now - known.read_until < _STORE_READ_UNTIL:
            return 0
        rows = [
            {
                "id": str(uuid7()),
                "webhook": webhook.label,
                "event_id": event.id,
                "ticket_id": event.ticket_id,
                "kind": event.kind,
                "next_at": now,
                "created_at": now,
            }
            for event in missing
        ]
        once = upsert(self._database.dialect, WebhookDelivery).on_conflict_do_nothing(
            index_elements=["tenant_id", "webhook", "event_id"]
        )
        read_until = now if is_all else missing[-1].at
        async with self._database.write() as connection:
            if rows:
                await connection.execute(once, rows)
            here = (Webhook.id == known.id) & (Webhook.read_until < read_until)
            await connection.execute(update(Webhook).where(here).values(read_until=read_until))
        return len(rows)

    @unit_of_work
    async def claim(self, webhook: str, now: datetime, lease: timedelta, limit: int) -> list[ClaimedDelivery]:
        """Claim deliveries that are due, the first one of each ticket only, and begin a try of each.

        Args:
            webhook: its name.
            now: the time.
            lease: time after which another process may claim a delivery that is not finished.
            limit: the most deliveries.
        """
        delivery, earlier = WebhookDelivery, WebhookDelivery.__table__.alias("earlier")
        is_due = (delivery.webhook == webhook) & (delivery.status == "waiting") & (delivery.next_at <= now)
        has_earlier = exists(earlier.c.id).where(
            earlier.c.webhook == delivery.webhook,
            earlier.c.ticket_id == delivery.ticket_id,
            earlier.c.status == "waiting",
            earlier.c.event_id < delivery.event_id,
        )
        first = select(delivery.id).where(is_due, ~has_earlier).order_by(delivery.event_id).limit(limit)
        columns: tuple[Any, ...] = (delivery.id, delivery.event_id, delivery.kind, delivery.attempts)
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
        self, claimed: ClaimedDelivery, *, response_status: int | None, error: str | None, next_at: datetime | None
    ) -> None:
        """Store the result of a try; a delivery that another process has claimed meanwhile stays as it is.

        Args:
            claimed: the delivery.
            response_status: the receiver's HTTP status; None: there was no answer.
            error: why it failed; None: it did not.
            next_at: when it is tried again; None: it is done, or given up.
        """
        delivery = WebhookDelivery
        status = "done" if error is None else "waiting" if next_at else "failed"
        values: dict[str, Any] = {"status": status, "response_status": response_status, "error": error}
        if next_at:
            values["next_at"] = next_at
        else:
            values["finished_at"] = datetime.now(UTC)
        here = (delivery.id == claimed.id) & (delivery.status == "waiting") & (delivery.attempts == claimed.attempt)
        async with self._database.write() as connection:
            await connection.execute(update(delivery).where(here).values(**values))

    async def failed(self, limit: int = 100) -> list[FailedDelivery]:
        """Return the deliveries that were given up, newest first."""
        delivery = WebhookDelivery
        columns: tuple[Any, ...] = (
            delivery.id,
            delivery.webhook,
            delivery.ticket_id,
            delivery.kind,
            delivery.attempts,
            delivery.response_status,
            delivery.error,
            delivery.created_at,
            delivery.finished_at,
        )
        statement = select(*columns).where(delivery.status == "failed").order_by(delivery.event_id.desc()).limit(limit)
        async with self._database.read() as connection:
            return [FailedDelivery(*row) for row in await connection.execute(statement)]

    async def counts(self) -> dict[str, WebhookCounts]:
        """Return the deliveries by webhook and status."""
        delivery = WebhookDelivery
        by_status = select(delivery.webhook, delivery.status, func.count()).group_by(delivery.webhook, delivery.status)
        unsent = select(delivery.webhook, delivery.error).where(delivery.status != "done", delivery.error.is_not(None))
        async with self._database.read() as connection:
            counted = (await connection.execute(by_status)).all()
            errors = {row[0]: row[1] for row in await connection.execute(unsent.order_by(delivery.event_id))}
        found: dict[str, dict[str, Any]] = {}
        for name, status, count in counted:
            found.setdefault(name, {})[status] = count
        return {name: WebhookCounts(**counts, last_error=errors.get(name)) for name, counts in found.items()}

    @unit_of_work
    async def retry(self, ids: Sequence[str] | None) -> int:
        """Try deliveries that were given up again, as if for the first time; return their number.

        Args:
            ids: their ids; None: all of them.
        """
        delivery = WebhookDelivery
        here: ColumnElement[bool] = delivery.status == "failed"
        if ids is not None:
            here &= delivery.id.in_(ids)
        renewed = {"status": "waiting", "attempts": 0, "next_at": datetime.now(UTC), "finished_at": None}
        async with self._database.write() as connection:
            return int((await connection.execute(update(delivery).where(here).values(**renewed))).rowcount)

    @unit_of_work
    async def prune(self, now: datetime) -> None:
        """Delete deliveries that ended long ago, and those that have waited as long for a webhook that was removed."""
        delivery = WebhookDelivery
        async with self._database.write() as connection:
            for status, keep in (("done", _KEEP_DONE), ("failed", _KEEP_FAILED)):
                await _delete(connection, (delivery.status == status) & (delivery.finished_at < now - keep))
            # one that is served is tried, and ends, long before
            left = (delivery.status == "waiting") & (delivery.next_at < now - _KEEP_FAILED)
            await _delete(connection, left)


async def _delete(connection: TenantConnection, old: ColumnElement[bool]) -> None:
    await connection.execute(delete(WebhookDelivery).where(old))


def _without_delivery(webhook: WebhookSettings, known: Any) -> Any:
    """Return the query of the events that a webhook has no delivery of, oldest first."""
    event, delivery = TicketEvent, WebhookDelivery
    since = max(known.started_at, known.read_until - _COMMITTED_LATE)
    has_delivery = exists(delivery.id).where(delivery.event_id == event.id, delivery.webhook == webhook.label)
    statement = select(event.id, event.ticket_id, event.kind, event.at).where(event.at >= since, ~has_delivery)
    if ALL_EVENTS not in webhook.events:
        statement = statement.where(event.kind.in_(webhook.events))
    return statement.order_by(event.id).limit(_FED_AT_ONCE)
