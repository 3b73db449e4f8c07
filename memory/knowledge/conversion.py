"""Files to documents, in a few worker processes with limits on time and memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qwendesk.isolation import Isolation
from qwendesk.memory.knowledge.base import Document
from qwendesk.memory.knowledge.kinds import PLAIN, Kind
from qwendesk.memory.knowledge.reader_process import ReaderProcess
from qwendesk.memory.knowledge.reader_slots import ReaderSlots
from qwendesk.memory.knowledge.readers.options import DEFAULTS, ReadOptions


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
