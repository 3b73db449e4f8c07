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

_GRACE = 2.0
"""Seconds that the worker has beyond the code's own time, to stop the code and make its value a text."""
_SHARE = 4
"""The part of the machine's memory that code in bubblewrap may use in all is one of so many."""
_DOUBTFUL = ("ImportError", "AttributeError", "TypeError")
"""Errors that may come from a gap in the interpreter as well as from the code."""


class PythonSandbox:
    """Runs each piece of code by itself in a worker process that is started when first needed.

    The worker holds an interpreter without a way out (pydantic-monty) and turns what the code leaves into short
    texts; no value of the code reaches this process. The interpreter lacks some of Python; code that needs more runs
    in CPython inside bubblewrap, on machines that have it.

    Args:
        bubblewrap: the sandbox of CPython; None makes one.
        at_once: how many pieces of code run at the same time; None: one a processor, at least two.
    """

    def __init__(self, bubblewrap: Bubblewrap | None = None, at_once: int | None = None) -> None:
        most = at_once or max(2, min(8, os.cpu_count() or 2))
        fitting = max(1, psutil.virtual_memory().total // (_SHARE * MEMORY_LIMIT_BYTES))
        self.bubblewrap = bubblewrap or Bubblewrap(at_once=min(most, fitting))
        self._workers = WorkerPool("qwendesk.tools.python_worker", most)

    async def run(self, code: str, timeout: float = 5.0, *, inbound: Inbound | None = None) -> RunResult:
        """Run the code and return what it printed and the value of its last expression.

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
        doubtful = result.unsupported or result.error.startswith(_DOUBTFUL)
        if doubtful and await self.bubblewrap.works():
            return await self.bubblewrap.run(code, timeout)
        return result

    async def aclose(self) -> None:
        """End the workers."""
        await self._workers.aclose()

    async def _run(self, code: str, timeout: float) -> RunResult:
        request: dict[str, Any] = {"code": code, "seconds": timeout}
        try:
            worker = await self._workers.acquire()
        except TimeoutError:
            return not_run("The sandbox is busy; try again.")
        try:
            return RunResult(**await worker.request(request, timeout + _GRACE))
        except TimeoutError:
            return RunResult(False, "", f"TimeoutError: the code ran longer than {timeout:g} s")
        except ToolError as error:
            if worker.has_started:
                return RunResult(False, "", "The code ended the sandbox: it may need too much memory.")
            raise ToolError(f"The Python sandbox could not be started: {error}") from error
        finally:
            self._workers.release(worker)
