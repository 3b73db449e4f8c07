"""A line for each model, so that a slow one keeps nobody waiting but those who ask it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from qwendesk.errors import EngineTimeout

_QUIET = 1.0

"""Seconds of waiting of which nobody is told."""

_NEWS = 10.0

"""Seconds after which somebody who waits hears again."""


class Lane:
    """Lets so many answers of one model be made at once; the others wait in the order in which they came.

    Args:
        name: the model, as a person is told of it.
        places: how many answers at once.
        patience: seconds after which somebody who waits gives up.
    """

    def __init__(self, name: str, places: int, patience: float) -> None:
        self._name = name
        self._free = self._places = places
        self._patience = patience
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    @asynccontextmanager
    async def place(self, tell: Callable[[str], None]) -> AsyncGenerator[None, None]:
        """Hold a place; ``tell`` hears how many are ahead.

        Raises:
            EngineTimeout: no place was free in time.
        """
        await self._enter(tell)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, tell: Callable[[str], None]) -> None:
        if self._free and not self._line:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._line.append(turn)
        try:
            await self._wait(turn, tell)
        except BaseException:
            # a place that was given just as its taker left goes to the next
            if turn.done() and not turn.cancelled():
                self._leave()
            else:
                self._line.remove(turn)
            raise

    async def _wait(self, turn: asyncio.Future[None], tell: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(self._patience):
                pause = _QUIET
                while not (await asyncio.wait({turn}, timeout=pause))[0]:
                    ahead = self._line.index(turn)
                    tell(f"{self._name} is busy; waiting: {f'{ahead} ahead' if ahead else 'next in line'}")
                    pause = _NEWS
        except TimeoutError:
            if turn.done():
                return
            raise EngineTimeout(
                f"{self._name} was busy with other questions for {self._patience:g} s and {self._line.index(turn)} are "
                "still ahead. Ask again later, choose another model, or let it answer more at once "
                "([max_concurrent_requests], QWENDESK_QUEUE_TIMEOUT)."
            ) from None

    def _leave(self) -> None:
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self._free += 1


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
