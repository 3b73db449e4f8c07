"""A child process that answers one JSON line by another, with a time limit that always holds."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Any

from qwendesk import child
from qwendesk.errors import ToolError


class Worker:
    """Runs a Python module as a process, started when first asked and again after it was ended.

    Args:
        module: the module's name; it prints one line when it is ready, then one for each line it reads.
        startup: seconds it may take to become ready.
    """

    def __init__(self, module: str, startup: float = 30.0) -> None:
        self._module = module
        self._startup = startup
        self._process: Process | None = None
        self._busy = asyncio.Lock()
        self._has_started = False
        self._closings = 0

    @property
    def pid(self) -> int | None:
        """The number of the running process; None while there is none."""
        return self._process.pid if self._process else None

    async def ask(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            TimeoutError: no answer in time; the process has been ended.
            ToolError: the process could not start, or ended.
        """
        async with self._busy:
            try:
                process = await self._ready()
                async with asyncio.timeout(timeout):
                    return await _exchange(process, request)
            except BaseException:
                # also when the caller gives up: a late answer must not be taken for that to the next request
                await self._end()
                raise

    @property
    def has_started(self) -> bool:
        """Whether the process was ready at the last request, also where it has ended since."""
        return self._has_started

    async def aclose(self) -> None:
        """End the process at once; whoever waits for an answer gets a ``ToolError``."""
        self._closings += 1
        await self._end()

    async def _ready(self) -> Process:
        if self._process and self._process.returncode is None:
            return self._process
        self._has_started = False
        try:
            closings = self._closings
            self._process = await child.start(self._module)
            if self._closings != closings:
                raise ToolError(f"The worker {self._module!r} was closed while it started.")
            async with asyncio.timeout(self._startup):
                await _line(self._process)
        except (OSError, TimeoutError) as error:
            raise ToolError(f"The worker {self._module!r} did not start: {error or 'too slow'}") from error
        self._has_started = True
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await child.end(process)


class Workers:
    """Several workers of one module: a request that takes long does not hold up the next ones.

    Args:
        module: the module's name, as for ``Worker``.
        most: how many processes there may be; one is started only where all others are busy.
    """

    def __init__(self, module: str, most: int) -> None:
        self._idle: list[Worker] = []
        self._all: list[Worker] = []
        self._module = module
        self._free = asyncio.Semaphore(most)

    async def take(self, patience: float = 30.0) -> Worker:
        """Return a worker that nobody else has; it has to be given back.

        Raises:
            TimeoutError: all were busy for so many seconds.
        """
        async with asyncio.timeout(patience):
            await self._free.acquire()
        if not self._idle:
            self._all.append(Worker(self._module))
            return self._all[-1]
        return self._idle.pop()

    def give_back(self, worker: Worker) -> None:
        """Let others have a worker."""
        self._idle.append(worker)
        self._free.release()

    async def aclose(self) -> None:
        """End all processes at once."""
        await asyncio.gather(*(worker.aclose() for worker in self._all))


async def _exchange(process: Process, request: dict[str, Any]) -> dict[str, Any]:
    if process.stdin is None:
        raise RuntimeError("the process was started without pipes")
    with suppress(ConnectionError):
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()
    answer: dict[str, Any] = json.loads(await _line(process))
    return answer


async def _line(process: Process) -> bytes:
    try:
        line = await process.stdout.readline() if process.stdout else b""
    except ValueError:
        raise ToolError("The worker's answer was too long.") from None
    if not line:
        raise ToolError("The worker ended before it answered; it may need too much memory.")
    return line
