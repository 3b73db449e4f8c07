"""The tool ``python``: run code in the sandbox and return its output."""

from __future__ import annotations

from typing import Annotated

from langchain_core.tools import BaseTool, InjectedToolArg

from qwendesk.errors import ToolError
from qwendesk.tools.base import NOT_RERUN, TRUSTED, ClosableTool, ToolContext
from qwendesk.tools.bubblewrap import RunResult
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.value_text import MAX_OUTPUT_CHARS, cut

_MAX_CHARS_BEFORE_ERROR = 500
"""Maximum length of the output before an error that the model receives, in characters."""
_HINTS = {
    "TimeoutError": "Use a faster way or a smaller input.",
    "MemoryError": "Use less memory or a smaller input.",
    "RecursionError": "Use a loop instead of deep recursion.",
    "PermissionError": "There are no files and no network here: put the data into the code.",
}


def python_tool(sandbox: PythonSandbox | None = None) -> BaseTool:
    """Return the tool; its sandbox starts with the first call."""
    own = sandbox or PythonSandbox()

    async def python(code: str, context: Annotated[ToolContext | None, InjectedToolArg] = None) -> str:
        """Run Python code and return what it prints. For exact arithmetic and data; no files, no network."""
        return describe(await own.run(code, inbound=context.inbound if context else None))

    return ClosableTool.from_function(coroutine=python, name="python", on_close=own.aclose, metadata={TRUSTED: True})


def describe(result: RunResult) -> str:
    """Return a description of a run for the model.

    Raises:
        ToolError: the code failed; the text gives the reason and a suggestion.
    """
    if not result.ok:
        raise ToolError(_failure(result))
    value = result.value or ""
    if not result.output.strip("\n"):
        return cut(value) or _silence(result)
    # the value takes precedence: the printed text gets the remaining characters
    room = MAX_OUTPUT_CHARS - len(value) - 1 if value else MAX_OUTPUT_CHARS
    printed = _printed(result, max(room, _MAX_CHARS_BEFORE_ERROR))
    return cut("\n".join(part for part in (printed, value) if part))


def _printed(result: RunResult, most: int) -> str:
    if result.printed > len(result.output):
        return cut(result.output, most, result.printed)
    return cut(result.output.rstrip("\n"), most)


def _failure(result: RunResult) -> str:
    hint = _HINTS.get(result.error.partition(":")[0], "")
    if result.unsupported and not result.error.startswith(NOT_RERUN):
        hint = "This part of Python is not available here: use plain Python with math, re, json, datetime or itertools."
    before = (
        f"Printed before that:\n{_printed(result, _MAX_CHARS_BEFORE_ERROR).strip()}" if result.output.strip() else ""
    )
    return "\n".join(part for part in (result.error, hint, before) if part)


def _silence(result: RunResult) -> str:
    if result.defines:
        return f"The code only defines {result.defines}: call it and print the result."
    return "The code ran and printed nothing: print the result."
