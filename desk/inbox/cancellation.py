"""Stop running turns, on request in this process or another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from qwendesk.errors import StoreError

T = TypeVar("T")
_POLL_INTERVAL_SECONDS = 0.5


class TurnCancellation:
    """Runs turns that can be stopped by the id of their message.

    Args:
        stop_requested: returns which of these running messages are to be stopped, by requests to any process.
    """

    def __init__(self, stop_requested: Callable[[Sequence[str]], Awaitable[list[str]]]) -> None:
        self._stop_requested = stop_requested
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._stopped: set[str] = set()
        self._watch: asyncio.Task[None] | None = None

    async def run(self, id_: str, turn: Coroutine[Any, Any, T]) -> T:
        """Run a turn; a stop raises ``CancelledError``, as any cancellation does; ``was_stopped`` tells which."""
        task = asyncio.create_task(turn)
        self._stopped.discard(id_)
        self._running[id_] = task
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._poll())
        try:
            return await task
        finally:
            task.cancel()
            self._running.pop(id_, None)

    def stop(self, ids: Iterable[str]) -> None:
        """Stop those of the messages whose turns run in this process."""
        for id_ in ids:
            if (task := self._running.get(id_)) and task.cancel():
                self._stopped.add(id_)

    def was_stopped(self, id_: str) -> bool:
        """Return whether ``stop`` cancelled the turn; a second call returns False."""
        was = id_ in self._stopped
        self._stopped.discard(id_)
        return was

    async def aclose(self) -> None:
        """Stop the polling."""
        if self._watch:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _poll(self) -> None:
        """Poll for requests while turns run."""
        await asyncio.sleep(_POLL_INTERVAL_SECONDS)
        while self._running:
            with suppress(StoreError):
                self.stop(await self._stop_requested(list(self._running)))
            await asyncio.sleep(_POLL_INTERVAL_SECONDS)
