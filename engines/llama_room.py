"""The context window of one loaded model, which all of its answers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager


class Room:
    """Hands out tokens of the window; who finds too few free waits in line, where llama.cpp would break off answers.

    Args:
        tokens: size of the window.
    """

    def __init__(self, tokens: int) -> None:
        self._all = self._free = tokens
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def taken(self, tokens: int) -> AsyncGenerator[None, None]:
        """Keep so many tokens for one answer, the whole window at most."""
        wanted = min(tokens, self._all)
        async with self._line:
            while self._free < wanted:
                self._freed.clear()
                await self._freed.wait()
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._freed.set()
