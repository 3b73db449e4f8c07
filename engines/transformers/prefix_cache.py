"""Caches of finished answers, kept for the next turn of their conversation."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Keepable(Protocol):
    """A cache that can be cut back to the beginning of what it holds."""

    length: int

    @property
    def bytes(self) -> int:
        """Memory held."""

    def reserve(self, tokens: int) -> None:
        """Make room for this many tokens."""

    def trim(self) -> None:
        """Give spare room back."""

    def crop(self, length: int) -> bool:
        """Forget what is behind the first ``length`` tokens; False where the model cannot go back."""


C = TypeVar("C", bound=Keepable)


@dataclass(slots=True)
class _Kept(Generic[C]):
    tokens: list[int]
    cache: C
    bytes: int
    """Its size when it came; a cache may shrink when it is cut."""


class PrefixStore(Generic[C]):
    """Keeps the caches used last, within limits of memory and number.

    Args:
        max_bytes: memory that the kept caches may hold together.
        max_caches: how many are kept at most.
    """

    def __init__(self, max_bytes: int, max_caches: int) -> None:
        self._max_bytes, self._max_caches = max_bytes, max_caches
        self._kept: OrderedDict[int, _Kept[C]] = OrderedDict()
        self._next = 0
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def bytes(self) -> int:
        """Memory held by all of them."""
        return self._bytes

    def put(self, tokens: list[int], cache: C) -> None:
        """Keep a cache; those not used for longest go where it gets too much."""
        if not cache.length:
            return
        cache.trim()
        self._kept[self._next] = _Kept(tokens[: cache.length], cache, cache.bytes)
        self._next += 1
        self._bytes += cache.bytes
        while self._kept and (self._bytes > self._max_bytes or len(self._kept) > self._max_caches):
            self._remove(next(iter(self._kept)))

    def take(self, tokens: list[int]) -> C | None:
        """Return the cache that begins like ``tokens`` for longest, cut to what they share.

        The last token is never taken from a cache: a model has to see it to say what comes next. Where most of a
        cache would be lost (another conversation under the same system text), it gives a copy and stays.
        """
        common = {key: _common(kept.tokens, tokens, len(tokens) - 1) for key, kept in self._kept.items()}
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
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    def _remove(self, key: int) -> None:
        self._bytes -= self._kept.pop(key).bytes


def _common(kept: list[int], tokens: list[int], most: int) -> int:
    most = min(len(kept), most)
    if kept[:most] == tokens[:most]:
        return most
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if kept[:middle] == tokens[:middle] else (low, middle - 1)
    return low
