"""Periodic maintenance: requeue lost messages, delete old rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from qwendesk.desk.access_repository import AccessRepository
from qwendesk.desk.inbox.failed import FailedMessages
from qwendesk.desk.inbox.queue import DurableQueue
from qwendesk.errors import StoreError
from qwendesk.periodic import PeriodicTask

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


class Maintenance:
    """Runs the maintenance every minute."""

    def __init__(
        self,
        failed: FailedMessages,
        queue: DurableQueue,
        access: AccessRepository,
        interval_seconds: float = _INTERVAL_SECONDS,
    ) -> None:
        self._failed = failed
        self._access = access
        self._queue = queue
        self._task = PeriodicTask(self._attempt, interval_seconds)

    async def start(self) -> None:
        """Delete old rate limits now and start the periodic work."""
        with suppress(StoreError):  # the next round tries again
            await self._failed.prune_rate_limits(datetime.now(UTC) - _RATE_LIMIT_RETENTION)
        self._task.start()

    async def stop(self) -> None:
        """Stop the periodic work."""
        await self._task.stop()

    async def once(self) -> None:
        """Requeue messages that the queue has lost and delete old rows."""
        waiting = await self._failed.open_since(datetime.now(UTC) - _LOST_AFTER)
        for id_ in await self._queue.lost(waiting):
            if await self._failed.requeue(id_, self._queue.enqueue):  # else it was completed meanwhile
                log.warning("A message that the queue had lost is requeued.")
        now = datetime.now(UTC)
        await _in_batches(lambda: self._queue.prune(_QUEUE_RETENTION_SECONDS, _BATCH_ROWS))
        await _in_batches(lambda: self._failed.prune(now - _INBOX_RETENTION, _BATCH_ROWS))
        await self._failed.prune_rate_limits(now - _RATE_LIMIT_RETENTION)
        await self._access.prune(now - _ACCESS_REQUEST_RETENTION)

    async def _attempt(self) -> None:
        try:
            await self.once()
        except Exception as error:  # the next round tries again
            log.warning("Maintenance failed with %s and is repeated in the next round.", type(error).__name__)


async def _in_batches(delete: Callable[[], Awaitable[int]]) -> None:
    """Delete batch after batch until nothing old is left."""
    while await delete() >= _BATCH_ROWS:  # noqa: ASYNC110 - lets other tasks run
        await asyncio.sleep(_PAUSE_BETWEEN_BATCHES_SECONDS)
