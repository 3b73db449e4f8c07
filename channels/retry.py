"""Wait, back off and retry until shutdown."""

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
    """Sleep for this many seconds, or until ``stopping`` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def unless_stopped(stopping: asyncio.Event, asking: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of a coroutine; cancel it and return None when ``stopping`` is set first."""
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

_FIRST_DELAY_SECONDS = 1.0

_MAX_DELAY_SECONDS = 60.0

_RESET_SECONDS = 60.0
"""An attempt that ran longer than this resets the delay."""


class Backoff:
    """Exponential backoff: each delay is twice the one before, until an attempt has run for a while.

    Args:
        first: seconds of the first delay.
    """

    def __init__(self, first: float = _FIRST_DELAY_SECONDS) -> None:
        self._first = self._next = first

    def after(self, begun: float) -> float:
        """Return the seconds to wait after the failure of an attempt that started at ``begun`` (monotonic time)."""
        if monotonic() - begun > _RESET_SECONDS:
            self._next = self._first
        pause, self._next = self._next, min(self._next * 2, _MAX_DELAY_SECONDS)
        return pause


async def retry_until_stopped(stopping: asyncio.Event, attempt: Callable[[], Awaitable[object]]) -> None:
    """Repeat an attempt until ``stopping`` is set, with a growing delay after each failure.

    Args:
        stopping: ends the repetition.
        attempt: repeated without delay when it returns.

    Raises:
        ChannelError: an attempt failed permanently.
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
