"""A line for each model, so that a slow one keeps nobody waiting but those who ask it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

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
                "([answers_at_once], QWENDESK_QUEUE_TIMEOUT)."
            ) from None

    def _leave(self) -> None:
        if self._line:
            self._line.popleft().set_result(None)
        else:
            self._free += 1
