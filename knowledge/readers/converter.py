"""Files to documents, in a few worker processes with limits on time and memory."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from pydantic import BaseModel, Field, ValidationError

from qwendesk import subprocess_worker
from qwendesk.errors import InputError
from qwendesk.isolation import Isolation
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions
from qwendesk.knowledge.readers.file_types import QUICK_KINDS, FileKind

_MODULE = "qwendesk.knowledge.readers.worker"
_MAX_ANSWER = 100_000_000
"""Bytes of an answer."""


_MAX_ERROR_CHARS = 300
_BROKEN = "it broke the program that reads it; the file is damaged or too big"


class _Answer(BaseModel):
    document: Document | None = None
    error: str = Field(default="", max_length=_MAX_ERROR_CHARS)


class ReaderProcess:
    """A process that reads the files of one owner.

    Args:
        owner: whose files it reads; a process that a hostile file has taken over sees no other's.
        isolation: keeps it from files and network.
        module: what it runs.
    """

    def __init__(self, owner: str, isolation: Isolation, module: str = _MODULE) -> None:
        self.owner = owner
        self._isolation = isolation
        self._module = module
        self._process: Process | None = None
        self._is_killed = False

    @property
    def is_alive(self) -> bool:
        """Whether it can read another file."""
        return self._process is not None and self._process.returncode is None

    async def read(self, kind: FileKind, data: bytes, options: ReadOptions, seconds: float) -> Document:
        """Return the document that a file holds.

        Raises:
            InputError: it cannot be read; the text says why.
        """
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(kind, data, options, seconds)
        except TimeoutError:
            await self.end()
            raise InputError(f"reading it took longer than {seconds:g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            await self.end()
            raise InputError(_BROKEN) from None
        except BaseException:
            # an answer that nobody waited for would be taken for the next file's
            await self.end()
            raise
        if answer.document is None:
            raise InputError(" ".join(answer.error.split()) or _BROKEN)
        return answer.document

    async def kill(self) -> None:
        """Kill the process while it reads or starts; the reading fails."""
        self._is_killed = True
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def end(self) -> None:
        """Kill the process when it does not read, and close its pipes."""
        process, self._process = self._process, None
        if process:
            await subprocess_worker.end(process)

    async def _ask(self, kind: FileKind, data: bytes, options: ReadOptions, seconds: float) -> _Answer:
        if self._process is None or self._process.returncode is not None:
            await self.end()  # close the pipes of one that has ended
            self._process = await subprocess_worker.start(self._module, self._isolation)
            if self._is_killed:
                raise ConnectionError("it was ended while it started")
        out, back = self._process.stdin, self._process.stdout
        assert out and back
        request: dict[str, object] = {"kind": kind, "size": len(data), "seconds": seconds}
        request |= {"encoding": options.encoding, "hidden": options.hidden}
        out.write(json.dumps(request).encode("ascii") + b"\n")
        out.write(data)
        await out.drain()
        size = int(await back.readline() or b"x")
        if not 0 <= size <= _MAX_ANSWER:
            raise ValueError("the answer is too long")
        body = await back.readexactly(size)
        try:
            return await asyncio.to_thread(_Answer.model_validate_json, body)
        except ValidationError as error:
            raise ValueError("the answer is not of the form agreed") from error


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
    attachment_seconds: float = 30.0
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
        kind: FileKind,
        data: bytes,
        options: ReadOptions = DEFAULT_OPTIONS,
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
        async with self._slots.hold(owner, is_plain=kind in QUICK_KINDS):
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
