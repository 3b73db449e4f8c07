"""The prefix cache: which cache a prompt gets, and when caches are dropped."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.engines.transformers.prefix_cache import PrefixCache


@dataclass
class Cache:
    length: int
    croppable: bool = True
    copies: int = 0
    bytes: int = 10

    def reserve(self, tokens: int) -> None:
        pass

    def trim(self) -> None:
        pass

    def crop(self, length: int) -> bool:
        if self.croppable:
            self.length = min(self.length, length)
        return self.croppable or self.length == length

    def copy(self, length: int) -> Cache:
        self.copies += 1
        return Cache(length)


def store(*kept: tuple[list[int], Cache], most: int = 10) -> PrefixCache[Cache]:
    made: PrefixCache[Cache] = PrefixCache(most * 10, 100)
    for tokens, cache in kept:
        made.put(tokens, cache)
    return made


def test_the_longest_beginning_is_taken_and_cut() -> None:
    near, far = Cache(4), Cache(4)
    kept = store(([1, 2, 3, 9], near), ([1, 9, 9, 9], far))
    assert kept.take([1, 2, 3, 4, 5]) is near
    assert near.length == 3
    assert len(kept) == 1


def test_the_last_token_is_always_shown_to_the_model() -> None:
    cache = Cache(3)
    assert store(([1, 2, 3], cache)).take([1, 2, 3]) is cache
    assert cache.length == 2


def test_another_conversation_under_the_same_system_text_gets_a_copy() -> None:
    cache = Cache(8)
    kept = store(([1, 2, 3, 4, 5, 6, 7, 8], cache))
    copy = kept.take([1, 2, 30, 40])
    assert copy is not None and copy is not cache and copy.length == 2
    assert len(kept) == 1 and cache.length == 8


def test_nothing_in_common_is_nothing_taken() -> None:
    kept = store(([1, 2], Cache(2)))
    assert kept.take([3, 4]) is None
    assert kept.take([1]) is None
    assert len(kept) == 1


def test_a_cache_that_cannot_be_cut_stays_for_who_continues_it() -> None:
    cache = Cache(3, croppable=False)
    kept = store(([1, 2, 3], cache))
    assert kept.take([1, 2, 9]) is None
    assert kept.take([1, 2, 3, 4]) is cache


def test_those_not_used_for_longest_go() -> None:
    kept = store(*(([n, n], Cache(2)) for n in range(12)))
    assert len(kept) == 10 and kept.bytes == 100
    assert kept.take([0, 0, 5]) is None
    assert kept.take([2, 2, 5]) is not None
    assert kept.bytes == 90


def test_one_that_is_larger_than_the_limit_is_not_kept() -> None:
    kept = store(([1, 2], Cache(2, bytes=1000)))
    assert len(kept) == 0 and kept.bytes == 0
