"""Run Python that a model wrote: no files, no network, no environment, limits on time and memory."""

from __future__ import annotations

import asyncio
import builtins
import re
from typing import Any

from pydantic_monty import (
    AsyncMonty,
    CollectString,
    MontyClassProxy,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    ResourceLimits,
)

from qwendesk.errors import ToolError
from qwendesk.tools.bubblewrap import Bubblewrap
from qwendesk.tools.run_result import RunResult

MEMORY = 256 * 1024 * 1024
"""Most memory a piece of code may use, in bytes."""
_OUTPUT = 1024 * 1024
_STARTUP = 30.0
_UNSUPPORTED = re.compile(
    r"NotImplementedError: .*monty|ModuleNotFoundError|AttributeError: module '|.*not supported in this environment"
)
_DOUBTFUL = ("ImportError", "AttributeError", "TypeError")
"""Errors that may come from a gap in the interpreter as well as from the code."""
_NAME = re.compile(r"NameError: name '(\w+)' is not defined")


class PythonSandbox:
    """Runs each piece of code by itself in a worker process that is started when first needed.

    The worker is an interpreter of its own without a way out (pydantic-monty). It lacks some of Python; code that
    needs more runs in CPython inside bubblewrap, on machines that have it.
    """

    def __init__(self, bubblewrap: Bubblewrap | None = None) -> None:
        self._bubblewrap = bubblewrap or Bubblewrap()
        self._pool: AsyncMonty | None = None
        self._opening = asyncio.Lock()

    async def run(self, code: str, timeout: float = 5.0) -> RunResult:
        """Run the code and return what it printed and the value of its last expression.

        Raises:
            ToolError: the sandbox itself could not be started.
        """
        result = await self._run(code, timeout)
        doubtful = result.unsupported or result.error.startswith(_DOUBTFUL)
        if doubtful and await self._bubblewrap.works():
            return await self._bubblewrap.run(code, timeout)
        return result

    async def aclose(self) -> None:
        """End the workers."""
        pool, self._pool = self._pool, None
        if pool:
            await pool.__aexit__(None, None, None)

    async def _open(self) -> AsyncMonty:
        async with self._opening:
            if self._pool is None:
                pool = AsyncMonty(min_processes=0, checkout_timeout=_STARTUP)
                try:
                    await pool.__aenter__()
                except OSError as error:
                    raise ToolError(f"The Python sandbox could not be started: {error}") from error
                self._pool = pool
            return self._pool

    async def _run(self, code: str, timeout: float) -> RunResult:
        pool = await self._open()
        printed = CollectString(max_bytes=_OUTPUT)
        limits: ResourceLimits = {
            "max_feed_duration_secs": timeout,
            "max_total_sleep_secs": timeout,
            "max_memory": MEMORY,
            "max_recursion_depth": 500,
        }
        try:
            async with asyncio.timeout(timeout + _STARTUP), pool.checkout(limits=limits) as session:
                value = await session.feed_run(code, print_callback=printed)
        except MontyError as error:
            return _failed(error, printed.output)
        except TimeoutError:
            return RunResult(False, printed.output, "The sandbox is busy; try again.")
        return RunResult(True, printed.output, "", _show(value))


def _failed(error: MontyError, output: str) -> RunResult:
    if isinstance(error, MontyCrashedError):
        why = "it ran too long" if error.timed_out else "it may need too much memory"
        return RunResult(False, output, f"The code ended the sandbox: {why}.")
    if not isinstance(error, MontyRuntimeError | MontySyntaxError):
        return RunResult(False, output, f"The code could not be run: {error}")
    text = error.display("type-msg")
    frames = error.traceback()
    line = f" (line {frames[-1].line})" if frames else ""
    return RunResult(False, output, text + line, unsupported=_is_unsupported(text))


def _is_unsupported(text: str) -> bool:
    """Tell whether the interpreter lacks what the code asked for."""
    name = _NAME.match(text)
    return bool(_UNSUPPORTED.match(text) or (name and hasattr(builtins, name[1])))


def _show(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, MontyClassProxy):
        return f"{value.name}({', '.join(f'{key}={item!r}' for key, item in value.attributes.items())})"
    try:
        return repr(value)
    except ValueError:  # CPython refuses to write out a huge number
        return f"a number of {value.bit_length()} bits" if isinstance(value, int) else "a value too big to show"
