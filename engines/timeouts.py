"""Time limits of one answer: until its first piece, and between pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from qwendesk.errors import EngineTimeout
from qwendesk.settings import Settings

T = TypeVar("T")


class StreamTimeouts:
    """The time limits of one answer; the first one starts with the construction.

    Args:
        source: the server or the model, as it appears in errors.
        settings: the settings with the limits.
    """

    def __init__(self, source: str, settings: Settings) -> None:
        self._source = source
        self._first, self._between = settings.first_token_timeout, settings.token_timeout
        self._begun = False
        self._deadline = asyncio.get_running_loop().time() + self._first

    @property
    def limit(self) -> float:
        """The current limit in seconds: for the first piece, or for the next one."""
        return self._between if self._begun else self._first

    async def wait(self, step: Awaitable[T]) -> T:
        """Wait for a step before the next piece.

        Raises:
            EngineTimeout: the step took longer than the limit.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                return await step
        except TimeoutError:
            raise EngineTimeout(self._message()) from None

    async def each(self, pieces: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """Yield the pieces, each within its limit.

        Raises:
            EngineTimeout: a piece took longer than the limit.
        """
        while True:
            try:
                piece = await self.wait(anext(pieces))
            except StopAsyncIteration:
                return
            self._begun = True
            try:
                yield piece
            finally:
                # the time in which the consumer handles a piece does not count
                self._deadline = asyncio.get_running_loop().time() + self._between

    def _message(self) -> str:
        if self._begun:
            what, limit = f"sent nothing for {self._between:g} s in the middle of its answer", "QWENDESK_TOKEN_TIMEOUT"
        else:
            what, limit = f"did not begin to answer in time: {self._first:g} s", "QWENDESK_FIRST_TOKEN_TIMEOUT"
        return f"{self._source} {what} ({limit}). Ask again, shorten the message, or choose a smaller model."
