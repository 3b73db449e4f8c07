"""Key-value caches of finished answers, reused by the next turn of their conversation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class CroppableCache(Protocol):
    """A cache of one sequence that can be cropped."""

    length: int

    @property
    def bytes(self) -> int:
        """Memory in bytes."""

    def reserve(self, tokens: int) -> None:
        """Allocate memory for this many tokens."""

    def trim(self) -> None:
        """Free spare memory."""

    def crop(self, length: int) -> bool:
        """Keep the first ``length`` tokens only; return False if the cache cannot be cropped."""


C = TypeVar("C", bound=CroppableCache)


@dataclass(slots=True)
class _Entry(Generic[C]):
    tokens: list[int]
    cache: C
    bytes: int
    """Size when it was added."""


class PrefixCache(Generic[C]):
    """Keeps the most recently used caches within a limit of memory and a number.

    Args:
        max_bytes: memory of all caches.
        max_caches: maximum number of caches.
    """

    def __init__(self, max_bytes: int, max_caches: int) -> None:
        self._max_bytes, self._max_caches = max_bytes, max_caches
        self._kept: OrderedDict[int, _Entry[C]] = OrderedDict()
        self._next = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory of all caches in bytes."""
        return self._bytes

    def put(self, tokens: list[int], cache: C) -> None:
        """Add a cache; the least recently used ones are dropped to stay within the limits."""
        if not cache.length:
            return
        cache.trim()
        self._kept[self._next] = _Entry(tokens[: cache.length], cache, cache.bytes)
        self._next += 1
        self._bytes += cache.bytes
        while self._kept and (self._bytes > self._max_bytes or len(self._kept) > self._max_caches):
            self._remove(next(iter(self._kept)))

    def take(self, tokens: list[int]) -> C | None:
        """Return the cache with the longest common prefix, cropped to it; None without a common prefix.

        The last token is never taken from a cache, because the model needs it to predict the next one. If most of a
        cache would be cropped (another conversation with the same system text), a copy is returned instead.
        """
        common = {key: _common_length(kept.tokens, tokens, len(tokens) - 1) for key, kept in self._kept.items()}
        key = max(common, key=lambda key: (common[key], key), default=None)
        if key is None or not common[key]:
            return None
        kept, length = self._kept[key], common[key]
        if length * 2 < len(kept.tokens) and (copy := getattr(kept.cache, "copy", None)):
            self._kept.move_to_end(key)
            copied: C = copy(length)
            return copied
        if not kept.cache.crop(length):
            return None
        self._remove(key)
        return kept.cache

    def clear(self) -> None:
        """Drop all caches."""
        self._kept.clear()
        self._bytes = 0

    def _remove(self, key: int) -> None:
        self._bytes -= self._kept.pop(key).bytes


def _common_length(kept: list[int], tokens: list[int], limit: int) -> int:
    limit = min(len(kept), limit)
    if kept[:limit] == tokens[:limit]:
        return limit
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if kept[:middle] == tokens[:middle] else (low, middle - 1)
    return low
