"""Whose file is read next: a few at a time, one of each person, and a slot kept free for plain text."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(eq=False, slots=True)
class _Waiter:
    owner: str
    is_plain: bool
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ReaderSlots:
    """Gives out slots in the order of asking to those who may have one.

    Args:
        total: files that are read at once; of two and more, one is for plain text alone.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._slow = max(1, total - 1)
        self._busy: Counter[str] = Counter()
        self._busy_slow = 0
        self._waiting: list[_Waiter] = []

    @asynccontextmanager
    async def hold(self, owner: str, *, is_plain: bool) -> AsyncIterator[None]:
        """Wait for a slot and hold it.

        Args:
            owner: who sent the file; an owner has one slot at a time, the empty one any number.
            is_plain: whether it is plain text, which is read in moments.
        """
        waiter = _Waiter(owner, is_plain)
        self._waiting.append(waiter)
        self._give_out()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            else:
                self._free(waiter)
            raise
        try:
            yield
        finally:
            self._free(waiter)

    def _free(self, waiter: _Waiter) -> None:
        self._busy[waiter.owner] -= 1
        if not self._busy[waiter.owner]:
            del self._busy[waiter.owner]
        self._busy_slow -= not waiter.is_plain
        self._give_out()

    def _give_out(self) -> None:
        for waiter in tuple(self._waiting):
            if not waiter.turn.done() and self._may_begin(waiter):
                self._waiting.remove(waiter)
                self._busy[waiter.owner] += 1
                self._busy_slow += not waiter.is_plain
                waiter.turn.set_result(None)

    def _may_begin(self, waiter: _Waiter) -> bool:
        if self._busy.total() >= self._total or (waiter.owner and self._busy[waiter.owner]):
            return False
        return waiter.is_plain or self._busy_slow < self._slow
