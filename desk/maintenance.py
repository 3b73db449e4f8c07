"""What has to be looked after now and then: lost messages, old rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from qwendesk.desk.access_repository import Guestbook
from qwendesk.desk.inbox.queue import Dispatcher
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.errors import StoreError
from qwendesk.periodic import PeriodicTask

_EVERY = 60.0
"""Seconds between two rounds; a round deletes a little at a time, so that nobody has to wait for it."""
_BREATH = 0.05
_OLD = timedelta(seconds=60)
_QUEUE_KEEPS = 24 * 3600.0
"""Seconds for which the queue keeps what it has done."""
_INBOX_KEEPS = timedelta(days=35)
"""How long another delivery of a message is recognised; platforms give up long before."""
_STRANGERS_KEPT = timedelta(days=1)
"""How long it is known who asked for a code and did nothing with it."""
_AT_ONCE = 200
"""Rows that are deleted in one transaction."""
_LIMITS_KEPT = timedelta(days=1)
log = logging.getLogger(__name__)


class Upkeep:
    """Looks every minute after what nobody else does."""

    def __init__(self, inbox: Inbox, dispatcher: Dispatcher, guestbook: Guestbook, every: float = _EVERY) -> None:
        self._inbox = inbox
        self._guestbook = guestbook
        self._dispatcher = dispatcher
        self._task = PeriodicTask(self._attempt, every)

    async def start(self) -> None:
        """Delete old rate limits now, and do the rest every minute."""
        with suppress(StoreError):  # it is done again in a minute
            await self._inbox.forget_limits(datetime.now(UTC) - _LIMITS_KEPT)
        self._task.start()

    async def stop(self) -> None:
        """Stop the periodic work."""
        await self._task.stop()

    async def once(self) -> None:
        """Bring back what the queue has lost and delete what is old."""
        waiting = await self._inbox.waiting_since(datetime.now(UTC) - _OLD)
        for id_ in await self._dispatcher.lost(waiting):
            if await self._inbox.put_back(id_, self._dispatcher.enqueue):  # else it ended between the two looks
                log.warning("A message was lost by the queue and is put back.")
        now = datetime.now(UTC)
        await _to_the_end(lambda: self._dispatcher.forget(_QUEUE_KEEPS, _AT_ONCE))
        await _to_the_end(lambda: self._inbox.prune(now - _INBOX_KEEPS, _AT_ONCE))
        await self._inbox.forget_limits(now - _LIMITS_KEPT)
        await self._guestbook.forget(now - _STRANGERS_KEPT)

    async def _attempt(self) -> None:
        try:
            await self.once()
        except Exception as error:  # whatever it is, it is tried again in a minute
            log.warning("Upkeep failed with %s and goes on later.", type(error).__name__)


async def _to_the_end(delete: Callable[[], Awaitable[int]]) -> None:
    """Delete batch after batch: as much may have grown old since the last round as the desk can answer."""
    while await delete() >= _AT_ONCE:  # noqa: ASYNC110 - the others get a turn
        await asyncio.sleep(_BREATH)
