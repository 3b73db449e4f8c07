"""Give up on a model that falls silent: before it begins, or in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from typing import TypeVar

from qwendesk.errors import EngineTimeout
from qwendesk.settings import Settings

T = TypeVar("T")


class Pace:
    """The time limits of one answer, counted from when this was made.

    Args:
        who: the server or the model, as a person is told of it.
        settings: where the limits stand.
    """

    def __init__(self, who: str, settings: Settings) -> None:
        self._who = who
        self._first, self._between = settings.first_token_timeout, settings.token_timeout
        self._begun = False
        self._until = asyncio.get_running_loop().time() + self._first

    @property
    def limit(self) -> float:
        """The seconds that the model has at this moment: to begin, or for its next piece."""
        return self._between if self._begun else self._first

    async def wait(self, step: Awaitable[T]) -> T:
        """Wait for what comes before the first piece.

        Raises:
            EngineTimeout: it did not come in time.
        """
        try:
            async with asyncio.timeout_at(self._until):
                return await step
        except TimeoutError:
            raise EngineTimeout(self._text()) from None

    async def each(self, pieces: AsyncIterator[T]) -> AsyncGenerator[T, None]:
        """Yield the pieces, each within its time.

        Raises:
            EngineTimeout: one did not come in time.
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
                # what the reader does with a piece is not the model's silence
                self._until = asyncio.get_running_loop().time() + self._between

    def _text(self) -> str:
        if self._begun:
            what, limit = f"fell silent for {self._between:g} s in the middle", "QWENDESK_TOKEN_TIMEOUT"
        else:
            what, limit = f"did not begin to answer in time: {self._first:g} s", "QWENDESK_FIRST_TOKEN_TIMEOUT"
        return f"{self._who} {what} ({limit}). Ask again, shorten the message, or choose a smaller model."
