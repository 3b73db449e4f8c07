"""The tool ``python``: run code in the sandbox and give back what it printed."""

from __future__ import annotations

import ast

from langchain_core.tools import BaseTool

from qwendesk.errors import ToolError
from qwendesk.tools.base import OwningTool
from qwendesk.tools.run_result import RunResult
from qwendesk.tools.sandbox import PythonSandbox

MOST_CHARS = 4000
"""Longest result handed to a model, in characters."""
_HINTS = {
    "TimeoutError": "Use a faster way or a smaller input.",
    "MemoryError": "Use less memory or a smaller input.",
    "RecursionError": "Use a loop instead of deep recursion.",
    "PermissionError": "There are no files and no network here: put the data into the code.",
}


def python_tool(sandbox: PythonSandbox | None = None) -> BaseTool:
    """Make the tool; its sandbox starts with the first call."""
    own = sandbox or PythonSandbox()

    async def python(code: str) -> str:
        """Run Python code and return what it prints. For exact arithmetic and data; no files, no network."""
        return describe(code, await own.run(show_last(code)))

    return OwningTool.from_function(coroutine=python, name="python", on_close=own.aclose)


def show_last(code: str) -> str:
    """Let code that ends by assigning to a name end with that name, so that its value is shown."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code
    match body[-1] if body else None:
        case (
            ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name))
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr())
        ):  # fmt: skip
            return f"{code}\n{name}"
    return code


def describe(code: str, result: RunResult) -> str:
    """Put a run into words for the model.

    Raises:
        ToolError: the code failed; the text says why and what to try.
    """
    if not result.ok:
        raise ToolError(_failure(result))
    text = "\n".join(part for part in (result.output.rstrip("\n"), result.value) if part)
    return _cut(text) or _silence(code)


def _failure(result: RunResult) -> str:
    hint = _HINTS.get(result.error.partition(":")[0], "")
    if result.unsupported:
        hint = "This part of Python is not available here: use plain Python with math, re, json, datetime or itertools."
    before = f"Printed before that:\n{_cut(result.output.strip(), 500)}" if result.output.strip() else ""
    return "\n".join(part for part in (result.error, hint, before) if part)


def _silence(code: str) -> str:
    body = ast.parse(code).body
    defined = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    quiet = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    if defined and all(isinstance(node, quiet) for node in body):
        return f"The code only defines {', '.join(defined)}: call it and print the result."
    return "The code ran and printed nothing: print the result."


def _cut(text: str, most: int = MOST_CHARS) -> str:
    if len(text) <= most:
        return text
    note = f"\n[cut: {len(text):,} characters in all]"
    return text[: most - len(note)] + note
