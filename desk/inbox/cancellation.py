"""Stop a running answer, from this process or from another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from qwendesk.errors import StoreError

T = TypeVar("T")
_EVERY = 0.5


class Stops:
    """Runs turns so that they can be stopped by name.

    Args:
        asked: tells which of some running messages a person has asked to stop, wherever that was heard.
    """

    def __init__(self, asked: Callable[[Sequence[str]], Awaitable[list[str]]]) -> None:
        self._asked = asked
        self._running: dict[str, asyncio.Task[Any]] = {}
        self._stopped: set[str] = set()
        self._watch: asyncio.Task[None] | None = None

    async def run(self, id_: str, turn: Coroutine[Any, Any, T]) -> T:
        """Run a turn; stopped, it raises ``CancelledError`` and ``was_stopped`` says so."""
        task = asyncio.create_task(turn)
        self._stopped.discard(id_)
        self._running[id_] = task
        if self._watch is None or self._watch.done():
            self._watch = asyncio.create_task(self._look())
        try:
            return await task
        finally:
            task.cancel()
            self._running.pop(id_, None)

    def stop(self, ids: Iterable[str]) -> None:
        """Stop those of them that run here."""
        for id_ in ids:
            if (task := self._running.get(id_)) and task.cancel():
                self._stopped.add(id_)

    def was_stopped(self, id_: str) -> bool:
        """Say once whether it was a person who stopped it."""
        was = id_ in self._stopped
        self._stopped.discard(id_)
        return was

    async def aclose(self) -> None:
        """Look no more."""
        if self._watch:
            self._watch.cancel()
            with suppress(asyncio.CancelledError):
                await self._watch

    async def _look(self) -> None:
        """Ask now and then, while something runs."""
        await asyncio.sleep(_EVERY)
        while self._running:
            with suppress(StoreError):
                self.stop(await self._asked(list(self._running)))
            await asyncio.sleep(_EVERY)
