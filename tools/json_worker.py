"""Worker processes that answer requests: one line of JSON in, one line of JSON out."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Any

from qwendesk import subprocess_worker
from qwendesk.errors import ToolError


class JsonWorker:
    """Runs a Python module as a process, started by the first request and again after it has ended.

    Args:
        module: the module's name; it prints one line when it is ready, then one for each line it reads.
        startup_timeout: seconds that it may take to become ready.
    """

    def __init__(self, module: str, startup_timeout: float = 30.0) -> None:
        self._module = module
        self._startup_timeout = startup_timeout
        self._process: Process | None = None
        self._busy = asyncio.Lock()
        self._has_started = False
        self._closings = 0

    @property
    def pid(self) -> int | None:
        """Process id; None while no process runs."""
        return self._process.pid if self._process else None

    async def request(self, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises:
            TimeoutError: no answer within ``timeout`` seconds; the process has been ended.
            ToolError: the process could not start, or it ended.
        """
        async with self._busy:
            try:
                process = await self._ready()
                async with asyncio.timeout(timeout):
                    return await _exchange(process, request)
            except BaseException:
                # also on cancellation: a late answer must not be read as the answer to the next request
                await self._end()
                raise

    @property
    def has_started(self) -> bool:
        """Whether the process was ready at the last request, even if it has ended since."""
        return self._has_started

    async def aclose(self) -> None:
        """End the process; pending requests raise ``ToolError``."""
        self._closings += 1
        await self._end()

    async def _ready(self) -> Process:
        if self._process and self._process.returncode is None:
            return self._process
        self._has_started = False
        try:
            closings = self._closings
            self._process = await subprocess_worker.start(self._module)
            if self._closings != closings:
                raise ToolError(f"The worker {self._module!r} was closed while it started.")
            async with asyncio.timeout(self._startup_timeout):
                await _line(self._process)
        except (OSError, TimeoutError) as error:
            raise ToolError(f"The worker {self._module!r} did not start: {error or 'too slow'}") from error
        self._has_started = True
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await subprocess_worker.end(process)


class WorkerPool:
    """A pool of workers of one module, so that requests run in parallel.

    Args:
        module: the module's name, as for ``JsonWorker``.
        size: maximum number of processes; a process is started only if all others are busy.
    """

    def __init__(self, module: str, size: int) -> None:
        self._idle: list[JsonWorker] = []
        self._all: list[JsonWorker] = []
        self._module = module
        self._free = asyncio.Semaphore(size)

    async def acquire(self, timeout: float = 30.0) -> JsonWorker:
        """Return a worker for exclusive use until ``release``.

        Raises:
            TimeoutError: all workers stayed busy for ``timeout`` seconds.
        """
        async with asyncio.timeout(timeout):
            await self._free.acquire()
        if not self._idle:
            self._all.append(JsonWorker(self._module))
            return self._all[-1]
        return self._idle.pop()

    def release(self, worker: JsonWorker) -> None:
        """Return a worker to the pool."""
        self._idle.append(worker)
        self._free.release()

    async def aclose(self) -> None:
        """End all processes."""
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
