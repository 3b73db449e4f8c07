"""What has to be looked after now and then: lost messages, old rows."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from qwendesk.desk.ports import Dispatcher
from qwendesk.memory.inbox import Inbox

_EVERY = 60.0
"""Seconds between two rounds; a round deletes so little that nobody has to wait for it."""
_OLD = timedelta(seconds=60)
_QUEUE_KEEPS = 24 * 3600.0
"""Seconds for which the queue keeps what it has done."""
_INBOX_KEEPS = timedelta(days=35)
"""How long another delivery of a message is recognised; platforms give up long before."""
_LIMITS_KEPT = timedelta(days=1)
log = logging.getLogger(__name__)


class Upkeep:
    """Looks every minute after what nobody else does."""

    def __init__(self, inbox: Inbox, dispatcher: Dispatcher, every: float = _EVERY) -> None:
        self._inbox = inbox
        self._dispatcher = dispatcher
        self._every = every
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def once(self) -> None:
        """Bring back what the queue has lost and delete what is old."""
        waiting = await self._inbox.waiting_since(datetime.now(UTC) - _OLD)
        for id_ in await self._dispatcher.lost(waiting):
            log.warning("A message was lost by the queue and is put back.")
            await self._inbox.put_back(id_, self._dispatcher.enqueue)
        await self._dispatcher.forget(_QUEUE_KEEPS)
        await self._inbox.prune(datetime.now(UTC) - _INBOX_KEEPS)
        await self._inbox.forget_limits(datetime.now(UTC) - _LIMITS_KEPT)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.once()
            except Exception as error:  # whatever it is, it is tried again in a minute
                log.warning("Upkeep failed with %s and goes on later.", type(error).__name__)
