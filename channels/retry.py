"""Stay connected: what fails is tried again, later each time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, TypeVar

from qwendesk.errors import ChannelError

T = TypeVar("T")


async def sleep_unless_stopped(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until all stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def unless_stopped(stopping: asyncio.Event, asking: Coroutine[Any, Any, T]) -> T | None:
    """Return what is asked for, or None as soon as all stops; what was asked is then given up."""
    task, stop = asyncio.ensure_future(asking), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        stop.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


log = logging.getLogger(__name__)

_FIRST_PAUSE = 1.0

_LONGEST_PAUSE = 60.0

_WELL = 60.0

"""Seconds after which what fails now has gone well before."""


class Backoff:
    """Pauses after failures, each twice as long as the one before, until it has gone well for a while.

    Args:
        first: seconds of the first one.
    """

    def __init__(self, first: float = _FIRST_PAUSE) -> None:
        self._first = self._next = first

    def after(self, begun: float) -> float:
        """Return how long to pause after a failure of what began at that moment (``time.monotonic()``)."""
        if monotonic() - begun > _WELL:
            self._next = self._first
        pause, self._next = self._next, min(self._next * 2, _LONGEST_PAUSE)
        return pause


async def retry_until_stopped(stopping: asyncio.Event, attempt: Callable[[], Awaitable[object]]) -> None:
    """Do something again and again until all stops; a failure is followed by a pause, a longer one each time.

    Args:
        stopping: ends it.
        attempt: may return, then it is done again at once.

    Raises:
        ChannelError: it failed for good.
    """
    pauses = Backoff()
    while not stopping.is_set():
        begun = monotonic()
        try:
            await attempt()
            pauses = Backoff()
        except ChannelError as error:
            if error.permanent:
                raise
            pause = pauses.after(begun)
            wait = error.retry_after or pause
            log.warning("%s The next try is in %g s.", error, wait)
            await sleep_unless_stopped(stopping, wait)
