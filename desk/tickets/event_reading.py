"""The task in which one reader, a webhook or an operators' room, gets tickets' events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from qwendesk.desk.tickets.event_deliveries import EventDeliveries
from qwendesk.periodic import PeriodicTask

_PRUNE = timedelta(hours=1)


class EventReading:
    """Delivers a reader's events, in one task: until nothing is due, and after a pause again.

    Args:
        deliveries: the deliveries of the tenant.
        reader: the reader's name among them.
        work: delivers some of what is due and returns how much was tried; after an error, it is called again.
        name: what the reader is called in the log.
        poll_seconds: time between two looks for new events.
        look_back: events from this time before the reader was known are delivered, too.
        prune: deletes what else is old, once an hour.
    """

    def __init__(
        self,
        deliveries: EventDeliveries,
        reader: str,
        work: Callable[[], Awaitable[int]],
        *,
        name: str,
        poll_seconds: float,
        look_back: timedelta = timedelta(),
        prune: Callable[[datetime], Awaitable[object]] | None = None,
    ) -> None:
        self._deliveries = deliveries
        self._reader = reader
        self._work = work
        self._look_back = look_back
        self._prune = prune
        self._is_registered = False
        self._pruned_at = datetime.min.replace(tzinfo=UTC)
        self._task = PeriodicTask(self._round, poll_seconds, name, at_once=True)

    def start(self) -> None:
        """Start the task."""
        self._task.start()

    async def stop(self) -> None:
        """Cancel the task and wait for its end; what is on its way is finished by the next start."""
        await self._task.stop()

    async def _round(self) -> None:
        if not self._is_registered:
            await self._deliveries.register(self._reader, datetime.now(UTC) - self._look_back)
            self._is_registered = True
        while await self._work():
            await self._prune_hourly()
        await self._prune_hourly()

    async def _prune_hourly(self) -> None:
        now = datetime.now(UTC)
        if now - self._pruned_at > _PRUNE:
            self._pruned_at = now
            await self._deliveries.prune(now)
            if self._prune:
                await self._prune(now)
