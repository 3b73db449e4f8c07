"""Writers of a SQLite file, one at a time: waiting here is fair and free, waiting inside SQLite is polling."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_MOST_HURRIED = 8
"""How many in a hurry go before one of the others that wait; else a flood at the door would end all answering."""


class Turnstile:
    """Lets one task through at a time, in the order they came; most of those in a hurry go before the others."""

    def __init__(self) -> None:
        self._taken = False
        self._hurried: deque[asyncio.Future[None]] = deque()
        self._others: deque[asyncio.Future[None]] = deque()
        self._hurried_by = 0

    @asynccontextmanager
    async def through(self, *, hurry: bool = False) -> AsyncIterator[None]:
        """Wait for one's turn, and have it until the block ends.

        Args:
            hurry: somebody outside waits for this and goes away if it takes long, such as a platform's webhook.
        """
        await self._enter(self._hurried if hurry else self._others)
        try:
            yield
        finally:
            self._leave()

    async def _enter(self, line: deque[asyncio.Future[None]]) -> None:
        if not self._taken:
            self._taken = True
            return
        turn = asyncio.get_running_loop().create_future()
        line.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):  # whoever left in the same moment has taken it out
                    line.remove(turn)
            else:
                self._leave()  # the turn had come in the same moment: it is the next one's
            raise

    def _leave(self) -> None:
        while waiting := self._next_line():
            turn = waiting.popleft()
            if not turn.done():
                self._hurried_by = self._hurried_by + 1 if self._others and waiting is self._hurried else 0
                turn.set_result(None)
                return
        self._taken = False

    def _next_line(self) -> deque[asyncio.Future[None]]:
        if self._others and self._hurried_by >= _MOST_HURRIED:
            return self._others
        return self._hurried or self._others
