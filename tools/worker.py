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

    async def aclose(self) -> None:
        """End the process."""
        async with self._busy:
            await self._end()

    async def _ready(self) -> Process:
        if self._process and self._process.returncode is None:
            return self._process
        try:
            self._process = await child.start(self._module)
            async with asyncio.timeout(self._startup):
                await _line(self._process)
        except (OSError, TimeoutError) as error:
            raise ToolError(f"The worker {self._module!r} did not start: {error or 'too slow'}") from error
        return self._process

    async def _end(self) -> None:
        process, self._process = self._process, None
        if process:
            await child.end(process)


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
