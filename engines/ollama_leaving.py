"""Leave an answer of an Ollama server before its end, so that the server stays well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

_GRACE = 0.5
"""Seconds in which an answer nobody listens to may come to its own end."""


class Leaving:
    """Reads answers; one that is left is read on for a moment, in the background, before its connection is closed.

    A server (seen on 0.9) whose client hangs up while a token is on its way keeps the model's place for ever: the
    token waits for somebody to take it, and all that come later wait behind it. What ends within half a second is
    therefore read to its end. A longer remainder is cut, and may meet the moment: seldom where tokens are tens of
    milliseconds apart, more often the faster a model is.
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    async def read(self, pieces: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Yield the pieces of an answer; closing this never waits."""
        while True:
            step = asyncio.ensure_future(_next(pieces))
            try:
                found = await asyncio.shield(step)
                if not found:
                    return
                yield found[0]
            except (asyncio.CancelledError, GeneratorExit):
                self._spawn(step, pieces)
                raise

    async def wait(self) -> None:
        """Wait until all that was left is closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, step: asyncio.Future[tuple[T, ...]], pieces: AsyncGenerator[T, None]) -> None:
        task = asyncio.create_task(_finish(step, pieces))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _next(pieces: AsyncGenerator[T, None]) -> tuple[T, ...]:
    """Return the next piece, or nothing at the end."""
    async for piece in pieces:
        return (piece,)
    return ()


async def _finish(step: asyncio.Future[tuple[T, ...]], pieces: AsyncGenerator[T, None]) -> None:
    with suppress(Exception):
        async with asyncio.timeout(_GRACE):
            found = await step
            while found:
                found = await _next(pieces)
    with suppress(Exception):
        await pieces.aclose()
