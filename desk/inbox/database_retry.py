"""Wait for a database that is away, so that nothing is done twice for want of a note that it was done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from qwendesk.errors import StoreError

T = TypeVar("T")
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0
_SHORT = 3.0
"""Seconds that a delivery may rest for though the desk is about to stop: half an answer is worse than a moment."""
_STANDING: set[asyncio.Event] = set()
"""What those who stand still wait for: a task that nothing refers to is collected, and the queue notes an error."""
log = logging.getLogger(__name__)


class Patience:
    """Tries again while the desk runs; what fails once it closes is left to another worker, or to the next start."""

    def __init__(self) -> None:
        self._closing = False
        self._hurrying = asyncio.Event()
        self.standing: set[str] = set()
        """Messages that are left to the next start, and wait for nothing here."""

    def hurry(self) -> None:
        """Let nobody rest for long: what would be tried again later is tried after the next start."""
        self._hurrying.set()

    def end(self) -> None:
        """Try nothing again from now on."""
        self._closing = True
        self._hurrying.set()

    async def rest(self, message: str, seconds: float) -> None:
        """Wait before a next try of a message's delivery, or stand still where the desk is about to stop."""
        if seconds > _SHORT:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurrying.wait()
            if self._hurrying.is_set():
                self.standing.add(message)
                await _stand_still()
        else:
            await asyncio.sleep(seconds)
        await self.unless_closing()

    async def unless_closing(self) -> None:
        """Stand still where the desk is closing: the message stays open, and the next start answers it."""
        if self._closing:
            await _stand_still()

    async def through(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do what needs the database, again and again until the database is there."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreError),
            wait=wait_exponential(_FIRST_PAUSE_SECONDS, max=_MAX_PAUSE_SECONDS),
            before_sleep=_log_first,
            sleep=self._pause,
        )
        return await retrying(work)

    async def _pause(self, seconds: float) -> None:
        await self.unless_closing()
        await asyncio.sleep(seconds)
        await self.unless_closing()


def _log_first(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if error and state.attempt_number == 1:
        log.warning("A message waits for the database: %s", type(error.__cause__).__name__)


async def _stand_still() -> None:
    never = asyncio.Event()
    _STANDING.add(never)
    try:
        await never.wait()
    finally:
        _STANDING.discard(never)
