"""Convert files to documents in a few worker processes with limits on time and memory."""

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
from qwendesk.errors import FileProblem, InputError
from qwendesk.isolation import Isolation
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions
from qwendesk.knowledge.readers.file_types import QUICK_KINDS, FileKind

_MODULE = "qwendesk.knowledge.readers.worker"
_MAX_ANSWER_BYTES = 100_000_000
_MAX_ERROR_CHARS = 300
_CRASHED = "the program that reads it crashed; the file is damaged or too big"


class _Answer(BaseModel):
    document: Document | None = None
    error: str = Field(default="", max_length=_MAX_ERROR_CHARS)
    problem: FileProblem | None = None


class ReaderProcess:
    """A worker process that reads the files of one owner; its answers are not trusted.

    Args:
        owner: the owner of the files; a compromised process sees files of no other owner.
        isolation: denies the process files and network.
        module: the module that the process runs.
    """

    def __init__(self, owner: str, isolation: Isolation, module: str = _MODULE) -> None:
        self.owner = owner
        self._isolation = isolation
        self._module = module
        self._process: Process | None = None
        self._is_killed = False

    @property
    def is_alive(self) -> bool:
        """Whether the process can read another file."""
        return self._process is not None and self._process.returncode is None

    async def read(self, kind: FileKind, data: bytes, options: ReadOptions, seconds: float) -> Document:
        """Return the document of a file.

        Raises:
            InputError: the file cannot be read; the text says why.
        """
        try:
            async with asyncio.timeout(seconds):
                answer = await self._ask(kind, data, options, seconds)
        except TimeoutError:
            await self.end()
            raise InputError(f"reading it took longer than {seconds:g} s", problem="too_slow") from None
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            await self.end()
            raise InputError(_CRASHED) from None
        except BaseException:
            # an answer left in the pipe would be read as that of the next file
            await self.end()
            raise
        if answer.document is None:
            raise InputError(" ".join(answer.error.split()) or _CRASHED, problem=answer.problem)
        return answer.document

    async def kill(self) -> None:
        """Kill the process while it reads or starts; the read fails."""
        self._is_killed = True
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def end(self) -> None:
        """Kill an idle process and close its pipes."""
        process, self._process = self._process, None
        if process:
            await subprocess_worker.end(process)

    async def _ask(self, kind: FileKind, data: bytes, options: ReadOptions, seconds: float) -> _Answer:
        if self._process is None or self._process.returncode is not None:
            await self.end()  # close the pipes of an ended process
            self._process = await subprocess_worker.start(self._module, self._isolation)
            if self._is_killed:
                raise ConnectionError("the process was killed while it started")
        out, back = self._process.stdin, self._process.stdout
        assert out and back
        request: dict[str, object] = {"kind": kind, "size": len(data), "seconds": seconds}
        request |= {"encoding": options.encoding, "hidden": options.hidden}
        out.write(json.dumps(request).encode("ascii") + b"\n")
        out.write(data)
        await out.drain()
        size = int(await back.readline() or b"x")
        if not 0 <= size <= _MAX_ANSWER_BYTES:
            raise ValueError("the answer is too long")
        body = await back.readexactly(size)
        try:
            return await asyncio.to_thread(_Answer.model_validate_json, body)
        except ValidationError as error:
            raise ValueError("the answer does not match the protocol") from error


@dataclass(eq=False, slots=True)
class _Waiter:
    owner: str
    is_plain: bool
    turn: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class ReaderSlots:
    """Grants slots for reading, first come first served among those that may start.

    Args:
        total: number of files read at the same time; with two or more, one slot is for plain text only.
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
            owner: the sender of the file; an owner holds one slot at a time, the empty owner any number.
            is_plain: whether it is plain text, which is read quickly.
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
    """Number of files read at the same time, and time limits."""

    processes: int = 3
    """Files read at the same time; with two or more, one slot is for plain text."""
    seconds: float = 120.0
    """Seconds that reading a file may take."""
    attachment_seconds: float = 30.0
    """Seconds that reading a file sent with a message may take."""


class Converter:
    """Reads files in worker processes that are started on demand and replaced after a crash or a timeout.

    Args:
        time_limit: default of the seconds that one file may take.
        processes: files read at the same time; with two or more, one slot is for plain text.
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
        """Return the document of a file.

        Args:
            kind: the detected kind of file.
            data: bytes of the file.
            options: options of the reader.
            owner: the sender; one file of an owner is read at a time, in a separate process.
            time_limit: seconds that reading may take.

        Raises:
            InputError: the file cannot be read; the text says why.
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

    async def end_readers(self, is_selected: Callable[[str], bool]) -> None:
        """Kill the processes of the selected owners, which may still hold text of their files in memory."""
        selected = [process for process in self._idle if is_selected(process.owner)]
        self._idle = [process for process in self._idle if process not in selected]
        for process in selected:
            await process.end()
        for process in tuple(self._busy):
            if is_selected(process.owner):
                await process.kill()

    async def aclose(self) -> None:
        """Kill all processes, including those that are reading."""
        self._is_closed = True
        for busy in tuple(self._busy):
            await busy.kill()
        while self._idle:
            await self._idle.pop().end()

    async def _process_of(self, owner: str) -> ReaderProcess:
        """Return an idle process of this owner, or a new one that may replace another owner's."""
        mine = next((process for process in self._idle if process.owner == owner), None)
        if mine:
            self._idle.remove(mine)
            return mine
        while self._idle and len(self._idle) + len(self._busy) >= self._processes:
            await self._idle.pop(0).end()
        return ReaderProcess(owner, self._isolation)
