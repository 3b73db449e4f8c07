"""Periodic work in the background."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from qwendesk.errors import StoreError

log = logging.getLogger(__name__)


class PeriodicTask:
    """Calls a function repeatedly in one task.

    Args:
        work: the function; after an error, it is called again at the next time.
        seconds: the interval.
        name: what the work is called in the log.
        at_once: whether it is called first at the start; otherwise first after one interval.
    """

    def __init__(
        self, work: Callable[[], Awaitable[object]], seconds: float, name: str, *, at_once: bool = False
    ) -> None:
        self._work = work
        self._at_once = at_once
        self._seconds = seconds
        self._name = name
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the task."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Cancel the task and wait for its end."""
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        if not self._at_once:
            await asyncio.sleep(self._seconds)
        while True:
            try:
                await self._work()
            except StoreError as error:
                log.warning("Periodic work, %s, waits for the database: %s", self._name, error)
            except Exception as error:
                log.exception("Periodic work, %s, failed with %s and is tried again.", self._name, type(error).__name__)
            await asyncio.sleep(self._seconds)
