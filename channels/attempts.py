"""Stay connected: what fails is tried again, later each time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from time import monotonic

from qwendesk.channels.stopping import rest
from qwendesk.errors import ChannelError

log = logging.getLogger(__name__)
_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0


async def persist(stopping: asyncio.Event, attempt: Callable[[], Awaitable[object]]) -> None:
    """Do something again and again until all stops; a failure is followed by a pause, a longer one each time.

    Args:
        stopping: ends it.
        attempt: may return, then it is done again at once.

    Raises:
        ChannelError: it failed for good.
    """
    pause = _FIRST_PAUSE
    while not stopping.is_set():
        begun = monotonic()
        try:
            await attempt()
            pause = _FIRST_PAUSE
        except ChannelError as error:
            if error.permanent:
                raise
            if monotonic() - begun > _LONGEST_PAUSE:
                pause = _FIRST_PAUSE  # it had gone well for a while
            wait = error.retry_after or pause
            log.warning("%s The next try is in %g s.", error, wait)
            await rest(stopping, wait)
            pause = min(pause * 2, _LONGEST_PAUSE)
