"""Make each thing once, however many ask for it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Makes things by name, those of different names side by side.

    Who leaves stops nothing: work in a thread cannot be stopped, and what comes of it would belong to nobody.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}

    async def make(self, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return what ``make`` returns, or what somebody else is having made under that name."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.create_task(make())
            self._tasks[name].add_done_callback(lambda task: self._done(name, task))
        return await asyncio.shield(self._tasks[name])

    async def wait(self) -> None:
        """Wait until nothing is being made."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _done(self, name: str, task: asyncio.Task[T]) -> None:
        del self._tasks[name]
        if not task.cancelled():
            task.exception()  # those who asked are told; where all have left, nobody need be
