"""Limit the concurrent requests to one model, and share the work of concurrent calls with the same key."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Generic, TypeVar

from qwendesk.errors import EngineTimeout

T = TypeVar("T")
FIRST_NOTICE_SECONDS = 1.0
"""Waiting time before the first notice."""
NEXT_NOTICE_SECONDS = 10.0
"""Time between further notices."""


class RequestQueue:
    """Per-model request queue: a limited number of concurrent requests, the others wait in order of arrival.

    Args:
        name: the model, as it appears in notices.
        limit: the number of concurrent requests.
        timeout: seconds after which a waiting request fails.
        first_notice: seconds before a waiting request gets its first notice.
    """

    def __init__(self, name: str, limit: int, timeout: float, *, first_notice: float | None = None) -> None:
        self._name = name
        self._free = limit
        self._timeout = timeout
        self._first_notice = FIRST_NOTICE_SECONDS if first_notice is None else first_notice
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """The number of waiting requests."""
        return len(self._waiters)

    @asynccontextmanager
    async def slot(self, notify: Callable[[str], None]) -> AsyncGenerator[None, None]:
        """Wait for a slot and hold it; ``notify`` is told how many requests are ahead.

        Raises:
            EngineTimeout: no slot became free in time.
        """
        await self._acquire(notify)
        try:
            yield
        finally:
            self._release()

    async def _acquire(self, notify: Callable[[str], None]) -> None:
        if self._free and not self._waiters:
            self._free -= 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiters.append(turn)
        try:
            await self._wait(turn, notify)
        except BaseException:
            # a slot that was assigned while its request was cancelled goes to the next one
            if turn.done() and not turn.cancelled():
                self._release()
            else:
                self._waiters.remove(turn)
            raise

    async def _wait(self, turn: asyncio.Future[None], notify: Callable[[str], None]) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                pause = self._first_notice
                while not (await asyncio.wait({turn}, timeout=pause))[0]:
                    ahead = self._waiters.index(turn)
                    notify(f"{self._name} is busy; waiting: {f'{ahead} ahead' if ahead else 'next in line'}")
                    pause = NEXT_NOTICE_SECONDS
        except TimeoutError:
            if turn.done():
                return
            raise EngineTimeout(
                f"{self._name} was busy with other questions for {self._timeout:g} s and {self._waiters.index(turn)} "
                "are still ahead. Ask again later, choose another model, or let it answer more at once "
                "([max_concurrent_requests], QWENDESK_QUEUE_TIMEOUT)."
            ) from None

    def _release(self) -> None:
        if self._waiters:
            self._waiters.popleft().set_result(None)
        else:
            self._free += 1


class SingleFlight(Generic[T]):
    """Runs one coroutine per key at a time; concurrent callers with the same key share its result.

    A cancelled caller does not stop the work, because work in a thread cannot be stopped.
    """

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the result of ``make``, or of the call with the same key that is running already."""
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(make())
            self._tasks[key].add_done_callback(lambda task: self._done(key, task))
        return await asyncio.shield(self._tasks[key])

    async def wait(self) -> None:
        """Wait until all running calls have ended."""
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _done(self, key: str, task: asyncio.Task[T]) -> None:
        del self._tasks[key]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio logs no error when all callers were cancelled
