"""How fast one may write: a few things at once, then one after the other."""

from __future__ import annotations

import asyncio
from time import monotonic

_AT_ONCE = 4
"""So many need not wait, where nothing went through for a while."""


class Burst:
    """Lets things through at a pace.

    Args:
        seconds: from one to the next.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ahead = _AT_ONCE * seconds
        self._free_at = 0.0

    async def turn(self) -> None:
        """Wait until the next may go through."""
        now = monotonic()
        self._free_at = max(self._free_at, now - self._ahead) + self._seconds
        await asyncio.sleep(max(0.0, self._free_at - now))
