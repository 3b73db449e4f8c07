"""Run channels until shutdown: wait, retry with backoff, and restart a channel after errors."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Literal, TypeVar

from qwendesk.channels.base import Accept, Channel
from qwendesk.errors import ChannelError, ConfigError, reason
from qwendesk.redaction import redact

T = TypeVar("T")
log = logging.getLogger(__name__)
_FIRST_DELAY_SECONDS = 1.0
_MAX_DELAY_SECONDS = 60.0
_RESET_SECONDS = 60.0
"""An attempt that ran longer than this resets the delay."""
ChannelState = Literal["running", "waiting", "refused", "stopped"]


async def sleep_unless_stopped(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep for this many seconds, or until ``stopping`` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def unless_stopped(stopping: asyncio.Event, operation: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of a coroutine; cancel it and return None when ``stopping`` is set first."""
    task, stop = asyncio.ensure_future(operation), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        stop.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


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
    backoff = Backoff()
    while not stopping.is_set():
        begun = monotonic()
        try:
            await attempt()
            backoff = Backoff()
        except ChannelError as error:
            if error.permanent:
                raise
            pause = backoff.after(begun)
            wait = error.retry_after or pause
            log.warning("%s The next try is in %g s.", error, wait)
            await sleep_unless_stopped(stopping, wait)


class ChannelSupervisor:
    """Runs ``start`` of one channel until the desk stops."""

    def __init__(self, name: str, channel: Channel) -> None:
        self.state: ChannelState = "stopped"
        self._start_error = ""
        self._name = name
        self._channel = channel
        self._task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    @property
    def error(self) -> str:
        """Why the channel does not run or misses messages; the log has unexpected errors."""
        return self._receive_error or self._start_error

    @property
    def is_failing(self) -> bool:
        """Whether a problem keeps the channel from running or from receiving all messages."""
        return self.state in ("waiting", "refused") or bool(self._receive_error)

    @property
    def _receive_error(self) -> str:
        return self._channel.receive_error if self.state == "running" else ""

    def start(self, accept: Accept) -> None:
        """Start the channel."""
        self._task = asyncio.create_task(self._keep(accept))

    async def stop(self) -> None:
        """Stop the channel from receiving."""
        self._stopping.set()
        with suppress(ChannelError):
            await self._channel.stop()
        if self._task:
            done, _ = await asyncio.wait([self._task], timeout=10)
            if not done:
                self._task.cancel()
                await asyncio.wait([self._task])
        self.state = "stopped"

    async def _keep(self, accept: Accept) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            self.state, begun = "running", monotonic()
            try:
                await self._channel.start(accept)
                return
            except (ChannelError, ConfigError) as error:
                self._start_error = shown = str(error)
                if isinstance(error, ConfigError) or error.permanent:
                    log.error("The channel %s is not restarted: %s", self._name, error)
                    self.state = "refused"
                    return
            except Exception as error:  # an error of a library, perhaps caused by one message
                log.debug("The channel %s raised this error.", self._name, exc_info=error)
                self._start_error, shown = "an unexpected error, which the log names", redact(reason(error))
            log.warning("The channel %s stopped (%s) and is restarted.", self._name, shown)
            self.state = "waiting"
            await sleep_unless_stopped(self._stopping, backoff.after(begun))
