"""How fast one may write: a few things at once, then one after the other."""

from __future__ import annotations

import asyncio
from time import monotonic


class Burst:
    """Lets things through at a pace.

    Args:
        seconds: from one to the next.
        most: so many need not wait, where nothing went through for a while.
    """

    def __init__(self, seconds: float, most: int) -> None:
        self._seconds = seconds
        self._ahead = most * seconds
        self._free_at = 0.0

    async def turn(self) -> None:
        """Wait until the next may go through."""
        now = monotonic()
        self._free_at = max(self._free_at, now - self._ahead) + self._seconds
        await asyncio.sleep(max(0.0, self._free_at - now))
