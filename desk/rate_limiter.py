"""Rate limits by key, kept in this process; persistent limits are ``TokenBucket``."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic

from cachetools import FIFOCache

_MAX_KEYS = 10_000


@dataclass(slots=True)
class RateLimiter:
    """A token bucket for each key."""

    burst: float
    """Tokens of a full bucket."""
    per_hour: float
    """Tokens that are refilled in an hour."""
    _left: FIFOCache[tuple[str, ...], tuple[float, float]] = field(default_factory=lambda: FIFOCache(_MAX_KEYS))
    """Tokens left after the last use, and the time of that use."""

    def allow(self, *key: str) -> bool:
        """Take a token; False if none is left."""
        now = monotonic()
        left, since = self._left.get(key, (self.burst, now))
        left = min(self.burst, left + (now - since) * self.per_hour / 3600)
        self._left[key] = (left - 1 if left >= 1 else left, now)
        return left >= 1
