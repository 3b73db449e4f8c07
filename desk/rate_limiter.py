"""How much is done for those of whom nothing is stored: counted in this process, forgotten with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from cachetools import FIFOCache

_MOST_KEYS = 10_000


@dataclass(slots=True)
class Allowance:
    """So much at once for each key, refilled as time passes."""

    at_once: float
    per_hour: float
    _left: FIFOCache[tuple[str, ...], tuple[float, float]] = field(default_factory=lambda: FIFOCache(_MOST_KEYS))
    """What was left, and when."""

    def spend(self, *key: str) -> bool:
        """Take one; False where nothing is left."""
        now = monotonic()
        left, since = self._left.get(key, (self.at_once, now))
        left = min(self.at_once, left + (now - since) * self.per_hour / 3600)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        return left >= 1
