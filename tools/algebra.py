"""The tool ``algebra``: exact mathematics by SymPy, in a process of its own."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import Process
from contextlib import suppress
from typing import Annotated, Any, Literal

from langchain_core.tools import BaseTool, InjectedToolArg

from qwendesk import subprocess_worker
from qwendesk.errors import ToolError
from qwendesk.tools.base import NOT_AGAIN, Asker, OwningTool
from qwendesk.tools.expressions import expressions, plain_point
from qwendesk.tools.notation import LONGEST


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
            self._process = await subprocess_worker.start(self._module)
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
            await subprocess_worker.end(process)


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


Operation = Literal["simplify", "solve", "derivative", "integral", "factor", "expand", "limit", "evaluate"]


class Algebra:
    """Does algebra in a worker that is started with the first question and ended when one takes too long."""

    def __init__(self, time_limit: float = 5.0) -> None:
        self._time_limit = time_limit
        self.worker = Worker("qwendesk.tools.algebra_worker")

    async def work(
        self,
        operation: str,
        expression: str,
        variable: str = "x",
        *,
        language: str | None = "en",
        written: str | None = None,
    ) -> str:
        """Return the result as text; where a number has two readings, the result of each.

        Args:
            operation: one of ``Operation``.
            expression: such as ``12 500 + 3x²``.
            variable: such as ``x``, or with a point or a range: ``x->0``, ``x=0..1``.
            language: the person's language, by which numbers such as ``1.000`` are read; None where it is not known.
            written: what the person wrote, where the expression may be somebody else's wording.

        Raises:
            ToolError: the expression cannot be read or worked out; the text says why.
        """
        if (length := max(len(expression), len(variable))) > LONGEST:
            raise ToolError(f"The expression has {length} characters; at most {LONGEST} can be read.")
        try:
            found = expressions(operation, expression, language, written)
            variable = plain_point(operation, variable, language, written)
        except ValueError as error:
            raise ToolError(str(error)) from None
        results = [await self._result(operation, one.text, variable) for one in found]
        if len(set(results)) == 1:
            return results[0]
        return " ".join(f"If {one.taken}: {result}." for one, result in zip(found, results, strict=True))

    async def _result(self, operation: str, expression: str, variable: str) -> str:
        request = {"operation": operation, "expression": expression, "variable": variable, "seconds": self._time_limit}
        try:
            answer = await self.worker.ask(request, self._time_limit)
        except TimeoutError:
            raise ToolError(f"This took longer than {self._time_limit:g} s: use a simpler expression.") from None
        if error := answer.get("error"):
            raise ToolError(str(error))
        return str(answer["result"])

    async def aclose(self) -> None:
        """End the worker."""
        await self.worker.aclose()


def algebra_tool(engine: Algebra | None = None) -> BaseTool:
    """Make the tool; its worker starts with the first call."""
    own = engine or Algebra()

    async def algebra(
        operation: Operation,
        expression: str,
        variable: str = "x",
        asker: Annotated[Asker | None, InjectedToolArg] = None,
    ) -> str:
        """Exact mathematics. variable: x; "x->0" for a limit, "x=0..1" for a definite integral."""
        if asker is None:
            return await own.work(operation, expression, variable)
        if asker.inbound.has_ended_a_run:
            raise ToolError(NOT_AGAIN)
        return await own.work(operation, expression, variable, language=asker.locale, written=asker.inbound.text)

    return OwningTool.from_function(coroutine=algebra, name="algebra", on_close=own.aclose)
