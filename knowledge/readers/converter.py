"""Files to documents, in a few worker processes with limits on time and memory."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from qwendesk.isolation import Isolation
from qwendesk.knowledge.base import Document
from qwendesk.knowledge.readers.file_types import PLAIN, Kind
from qwendesk.knowledge.readers.options import DEFAULTS, ReadOptions
from qwendesk.knowledge.readers.process import ReaderProcess


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


@dataclass(frozen=True, slots=True)
class ReadingLimits:
    """How many files are read at once, and for how long."""

    processes: int = 3
    """Files that are read at once; one of two and more is kept for plain text."""
    seconds: float = 120.0
    """How long reading a file may take."""
    sent_seconds: float = 30.0
    """How long reading a file may take that came with a message."""


class Converter:
    """Reads files in processes that are started when first needed and again after one had to be ended.

    Args:
        time_limit: seconds that one file may take, where a call does not say.
        processes: files that are read at once; one of two and more is kept for plain text.
    """

    def __init__(self, time_limit: float = 120.0, *, processes: int = 3) -> None:
        self._time_limit = time_limit
        self._processes = processes
        self._slots = ReaderSlots(processes)
        self._isolation = Isolation()
        self._idle: list[ReaderProcess] = []
        self._busy: set[ReaderProcess] = set()
        self._is_closed = False

    async def convert(
        self,
        kind: Kind,
        data: bytes,
        options: ReadOptions = DEFAULTS,
        *,
        owner: str = "",
        time_limit: float | None = None,
    ) -> Document:
        """Return the document that a file holds.

        Args:
            kind: what it is taken for.
            data: its bytes.
            options: how it is read.
            owner: who sent it; an owner has one file read at a time, and a process of its own.
            time_limit: seconds that it may take.

        Raises:
            InputError: it cannot be read; the text says why.
        """
        async with self._slots.hold(owner, is_plain=kind in PLAIN):
            process = await self._process_of(owner)
            self._busy.add(process)
            try:
                return await process.read(kind, data, options, time_limit or self._time_limit)
            finally:
                self._busy.discard(process)
                if self._is_closed:
                    await process.end()
                elif process.is_alive:
                    self._idle.append(process)

    async def end_readers(self, is_meant: Callable[[str], bool]) -> None:
        """Kill the processes of the owners that are meant: they hold words of the files that they read."""
        meant = [process for process in self._idle if is_meant(process.owner)]
        self._idle = [process for process in self._idle if process not in meant]
        for process in meant:
            await process.end()
        for process in tuple(self._busy):
            if is_meant(process.owner):
                await process.kill()

    async def aclose(self) -> None:
        """Kill the processes, those that are reading too."""
        self._is_closed = True
        for busy in tuple(self._busy):
            await busy.kill()
        while self._idle:
            await self._idle.pop().end()

    async def _process_of(self, owner: str) -> ReaderProcess:
        """Return a process that waits for a file of this owner, or a new one in place of another's."""
        mine = next((process for process in self._idle if process.owner == owner), None)
        if mine:
            self._idle.remove(mine)
            return mine
        while self._idle and len(self._idle) + len(self._busy) >= self._processes:
            await self._idle.pop(0).end()
        return ReaderProcess(owner, self._isolation)
