"""Worker process that runs a model's code in pydantic-monty and converts values to text.

Run as ``python -m qwendesk.tools.python_worker``: one JSON request per input line (``code``, ``seconds``), one JSON
answer per output line, with the fields of ``RunResult``. An answer has at most 60 KB.
"""

from __future__ import annotations

import ast
import builtins
import json
import re
import sys
from dataclasses import asdict
from typing import Any

from pydantic_monty import (
    CollectString,
    Monty,
    MontyClassProxy,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySyntaxError,
    ResourceLimits,
)

from qwendesk.subprocess_worker import limit_resources, limited_time, yield_processor
from qwendesk.tools.bubblewrap import RunResult
from qwendesk.tools.value_text import MAX_ERROR_CHARS, MAX_OUTPUT_CHARS, printable, text_of

_MAX_DEFINED_NAMES_CHARS = 200
_MAX_CODE_MEMORY_BYTES = 256 * 1024 * 1024
"""Maximum memory of the code, in bytes."""
_MAX_PROCESS_MEMORY_BYTES = 768 * 1024 * 1024
_MAX_PRINTED_BYTES = 1024 * 1024
_STARTUP_TIMEOUT_SECONDS = 30.0
_GRACE_SECONDS = 5.0
"""Seconds beyond the code's time limit after which the process ends itself; by then the caller has timed out."""
_UNSUPPORTED = re.compile(
    r"(?:NotImplementedError|RuntimeError): .*monty|NotImplementedError: .*not supported|ModuleNotFoundError"
    r"|AttributeError: module '|.*not supported in this environment"
)
_NAME = re.compile(r"NameError: name '(\w+)' is not defined")


def show_last(code: str) -> str:
    """Return code whose last statement assigns to a name with that name appended, so that its value is shown."""
    body = _body(code)
    match body[-1] if body else None:
        case (
            ast.Assign(targets=[ast.Name(id=name)]) | ast.AugAssign(target=ast.Name(id=name))
            | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr())
        ):  # fmt: skip
            return f"{code}\n{name}"
    return code


def defined(code: str) -> str:
    """Return the names of the functions and classes that the code defines; empty if it does anything else."""
    body = _body(code)
    names = [node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    quiet = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    return ", ".join(names)[:_MAX_DEFINED_NAMES_CHARS] if all(isinstance(node, quiet) for node in body) else ""


def _body(code: str) -> list[ast.stmt]:
    try:
        return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def run(pool: Monty, code: str, seconds: float) -> RunResult:
    """Run the code and return its result as text."""
    printed = CollectString(max_bytes=_MAX_PRINTED_BYTES)
    limits: ResourceLimits = {
        "max_feed_duration_secs": seconds,
        "max_total_sleep_secs": seconds,
        "max_memory": _MAX_CODE_MEMORY_BYTES,
        "max_recursion_depth": 500,
    }
    try:
        with pool.checkout(limits=limits) as session:
            code = code.encode("utf-8", "replace").decode()
            value = session.feed_run(show_last(code), print_callback=printed)
            text = None if value is None else text_of(value, _opened)
    except MontyError as error:
        return _failed(error, printed.output)
    except (RecursionError, MemoryError, ValueError, OverflowError) as error:
        # the code ran, but its value cannot be converted
        return _result(True, printed.output, "", f"a value that could not be shown: {type(error).__name__}")
    return _result(True, printed.output, "", text, defines=defined(code))


def _result(ok: bool, output: str, error: str, value: str | None = None, **more: Any) -> RunResult:
    texts = (
        printable(output[:MAX_OUTPUT_CHARS]),
        printable(error[:MAX_ERROR_CHARS]),
        None if value is None else printable(value),
    )
    return RunResult(ok, *texts, printed=len(output.rstrip("\n")), **more)


def _failed(error: MontyError, output: str) -> RunResult:
    if isinstance(error, MontyCrashedError):
        why = "it ran too long" if error.timed_out else "it may need too much memory"
        return _result(False, output, f"The code ended the sandbox: {why}.")
    if not isinstance(error, MontyRuntimeError | MontySyntaxError):
        return _result(False, output, f"The code could not be run: {error}")
    text = error.display("type-msg")[:MAX_ERROR_CHARS]
    frames = error.traceback()
    line = f" (line {frames[-1].line})" if frames else ""
    return _result(False, output, text[: MAX_ERROR_CHARS - len(line)] + line, unsupported=_is_unsupported(text))


def _is_unsupported(text: str) -> bool:
    """Return whether an error shows that the interpreter lacks a feature of Python."""
    name = _NAME.match(text)
    return bool(_UNSUPPORTED.match(text) or (name and hasattr(builtins, name[1])))


def _opened(value: Any) -> tuple[str, dict[str, Any]] | None:
    return (value.name, value.attributes) if isinstance(value, MontyClassProxy) else None


def answer(pool: Monty, line: bytes) -> bytes:
    """Answer one request."""
    request = json.loads(line)
    with limited_time(request["seconds"] + _GRACE_SECONDS):
        fields = asdict(run(pool, **request))
    return json.dumps(fields, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def main() -> None:
    """Answer requests until the input ends."""
    limit_resources(_MAX_PROCESS_MEMORY_BYTES)
    yield_processor()
    with Monty(min_processes=1, max_processes=1, checkout_timeout=_STARTUP_TIMEOUT_SECONDS) as pool:
        sys.stdout.buffer.write(b'{"ready": true}\n')
        sys.stdout.buffer.flush()
        for line in sys.stdin.buffer:
            sys.stdout.buffer.write(answer(pool, line))
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
