"""Retry database writes during an outage, so that completed effects are not repeated."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.exc import IntegrityError
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_exponential

from qwendesk.errors import StoreError

T = TypeVar("T")
_FIRST_PAUSE_SECONDS = 0.1
_MAX_PAUSE_SECONDS = 5.0
_MAX_PAUSE_WHILE_STOPPING_SECONDS = 3.0
"""Longest pause before a retry of a delivery that is waited out while the desk stops."""
_MAX_CONFLICTS = 5
"""Tries of work that contradicts what is stored, such as a row of a customer who was forgotten: no outage ends that."""
_SUSPENDED: set[asyncio.Event] = set()
"""Events that suspended tasks wait for. Without a reference the tasks would be collected, and the queue would store
an error."""
log = logging.getLogger(__name__)


class DatabaseRetry:
    """Retries while the desk runs; work that fails while it closes is left to another worker or the next start."""

    def __init__(self) -> None:
        self._closing = False
        self._stopping = asyncio.Event()
        self.suspended: set[str] = set()
        """Messages whose delivery is left to the next start."""

    def prepare_stop(self) -> None:
        """Suspend deliveries whose next try is not due within a few seconds: the next start retries them."""
        self._stopping.set()

    def close(self) -> None:
        """Retry nothing from now on."""
        self._closing = True
        self._stopping.set()

    async def pause(self, message: str, seconds: float) -> None:
        """Wait before the next try of a message's delivery, or suspend the task where the desk is stopping."""
        if seconds > _MAX_PAUSE_WHILE_STOPPING_SECONDS:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            if self._stopping.is_set():
                self.suspended.add(message)
                await _suspend()
        else:
            await asyncio.sleep(seconds)
        await self.suspend_if_closing()

    async def suspend_if_closing(self) -> None:
        """Suspend the task where the desk is closing: the message stays open, and the next start answers it."""
        if self._closing:
            await _suspend()

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run work on the database, and repeat it while it raises ``StoreError``.

        Raises:
            StoreError: the work contradicts what is stored, and has been tried a few times.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreError),
            stop=_is_lasting_conflict,
            reraise=True,
            wait=wait_exponential(_FIRST_PAUSE_SECONDS, max=_MAX_PAUSE_SECONDS),
            before_sleep=_log_first,
            sleep=self._wait,
        )
        return await retrying(work)

    async def _wait(self, seconds: float) -> None:
        await self.suspend_if_closing()
        await asyncio.sleep(seconds)
        await self.suspend_if_closing()


def _is_lasting_conflict(state: RetryCallState) -> bool:
    error = state.outcome.exception() if state.outcome else None
    is_conflict = error is not None and isinstance(error.__cause__, IntegrityError)
    return is_conflict and state.attempt_number >= _MAX_CONFLICTS


def _log_first(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    if error and state.attempt_number == 1:
        log.warning("A message waits for the database: %s", type(error.__cause__).__name__)


async def _suspend() -> None:
    never = asyncio.Event()
    _SUSPENDED.add(never)
    try:
        await never.wait()
    finally:
        _SUSPENDED.discard(never)
