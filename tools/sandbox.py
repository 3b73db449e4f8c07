"""Run Python code of a model without files, network or environment, within limits of time, memory and output."""

from __future__ import annotations

import os
from typing import Any

import psutil

from qwendesk.errors import ToolError
from qwendesk.messages import Inbound
from qwendesk.tools.base import NOT_RERUN
from qwendesk.tools.bubblewrap import MEMORY_LIMIT_BYTES, Bubblewrap, RunResult, not_run
from qwendesk.tools.json_worker import WorkerPool
from qwendesk.tools.syntax import SyntaxParser

_ANSWER_GRACE_SECONDS = 2.0
"""Seconds beyond the code's time limit in which the worker stops the code and converts its value to text."""
_MEMORY_DIVISOR = 4
"""All concurrent runs in bubblewrap may use the machine's memory divided by this."""
_AMBIGUOUS_ERRORS = ("ImportError", "AttributeError", "TypeError")
"""Errors that a missing part of the interpreter may cause as well as the code."""


class PythonSandbox:
    """Runs each piece of code separately, in a worker process that starts with the first one.

    The worker runs an interpreter without files and network (pydantic-monty) and converts results to short texts; no
    value of the code reaches this process. The interpreter lacks parts of Python; code that needs them runs in CPython
    inside bubblewrap, on machines that have it.

    Args:
        bubblewrap: the sandbox of CPython; None makes one.
        max_concurrent: maximum number of concurrent runs; None: one for each processor, at least two.
    """

    def __init__(self, bubblewrap: Bubblewrap | None = None, max_concurrent: int | None = None) -> None:
        most = max_concurrent or max(2, min(8, os.cpu_count() or 2))
        fitting = max(1, psutil.virtual_memory().total // (_MEMORY_DIVISOR * MEMORY_LIMIT_BYTES))
        self.bubblewrap = bubblewrap or Bubblewrap(max_concurrent=min(most, fitting))
        self.syntax = SyntaxParser()
        """Parses code of other languages, which is not run."""
        self._workers = WorkerPool("qwendesk.tools.python_worker", most)

    async def run(self, code: str, timeout: float = 5.0, *, inbound: Inbound | None = None) -> RunResult:
        """Run the code and return its output and the value of its last expression.

        A value that the code's last line assigns to a name counts as its last expression.

        Args:
            code: the code.
            timeout: seconds that it may take.
            inbound: the message that it is run for; None outside a turn.

        Raises:
            ToolError: the sandbox itself could not be started.
        """
        if inbound and inbound.has_ended_a_run:
            return not_run(NOT_RERUN)
        result = await self._run(code, timeout)
        doubtful = result.unsupported or result.error.startswith(_AMBIGUOUS_ERRORS)
        if doubtful and await self.bubblewrap.works():
            return await self.bubblewrap.run(code, timeout)
        return result

    async def aclose(self) -> None:
        """End the workers."""
        await self._workers.aclose()
        await self.syntax.aclose()

    async def _run(self, code: str, timeout: float) -> RunResult:
        request: dict[str, Any] = {"code": code, "seconds": timeout}
        try:
            worker = await self._workers.acquire()
        except TimeoutError:
            return not_run("The sandbox is busy; try again.")
        try:
            return RunResult(**await worker.request(request, timeout + _ANSWER_GRACE_SECONDS))
        except TimeoutError:
            return RunResult(False, "", f"TimeoutError: the code ran longer than {timeout:g} s")
        except ToolError as error:
            if worker.has_started:
                return RunResult(False, "", "The code ended the sandbox: it may need too much memory.")
            raise ToolError(f"The Python sandbox could not be started: {error}") from error
        finally:
            self._workers.release(worker)
