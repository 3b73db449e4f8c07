"""Program that runs inside bubblewrap: it limits its resources, then runs the code from its input.

The system's Python runs it without this package: its source is the text of ``value_text`` and of this file. Its answer
is a line of six numbers (ok, characters printed, then the lengths in bytes of output, error and value, -1 for no value,
and of the names of definitions), followed by those texts as UTF-8. If there is a value, it answers twice: before and
after the conversion of the value to text, which may not terminate.
"""

from __future__ import annotations

import ast
import io
import json
import os
import resource
import sys
from typing import Any, BinaryIO

from qwendesk.tools.value_text import (  # removed in the sandbox
    MAX_ERROR_CHARS,
    MAX_OUTPUT_CHARS,
    NOT_SHOWN,
    error_text,
    printable,
    text_of,
)

_MAX_PRINTED_CHARS = 1024 * 1024
_MAX_FILE_BYTES = 16 * 1024 * 1024
_MAX_OPEN_FILES = 64
_MAX_THREADS = 64


class _Output(io.StringIO):
    def write(self, text: str) -> int:
        if self.tell() + len(text) > _MAX_PRINTED_CHARS:
            raise MemoryError("the code printed too much")
        return super().write(text)


def limit_resources(seconds: float, memory: int, is_counted_alone: bool) -> None:
    """Set resource limits of this process; they cannot be raised again."""
    limits = {
        resource.RLIMIT_AS: memory,
        resource.RLIMIT_CPU: int(seconds) + 1,
        resource.RLIMIT_FSIZE: _MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: _MAX_OPEN_FILES,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_CORE: 0,
    }
    if is_counted_alone:
        limits[resource.RLIMIT_NPROC] = _MAX_THREADS
    for kind, most in limits.items():
        resource.setrlimit(kind, (most, most))
    os.nice(10)


def execute(code: str) -> tuple[bool, str, Any, str]:
    """Run the code; return whether it succeeded, the error, the last value and the defined names."""
    names: dict[str, Any] = {"__name__": "__main__"}
    try:
        tree = ast.parse(code)
        defined = _defined(tree.body)
        last = _last(tree.body)
        exec(compile(tree, "code", "exec"), names)  # the sandbox confines it
        value = eval(compile(ast.Expression(last), "code", "eval"), names) if last else None
        return True, "", value, defined
    except SystemExit as end:
        return not end.code, error_text(end) if end.code else "", None, ""
    except BaseException as caught:
        return False, error_text(caught) + _line(caught), None, ""


def _last(body: list[ast.stmt]) -> ast.expr | None:
    """Remove and return the last expression, or return the name that the last statement assigns to."""
    if not body:
        return None
    last = body[-1]
    if isinstance(last, ast.Expr):
        body.pop()
        return last.value
    if isinstance(last, ast.Assign):
        target: Any = last.targets[0] if len(last.targets) == 1 else None
    else:
        target = last.target if isinstance(last, (ast.AugAssign, ast.AnnAssign)) and last.value else None
    if not isinstance(target, ast.Name):
        return None
    return ast.copy_location(ast.Name(target.id, ast.Load()), target)


def _defined(body: list[ast.stmt]) -> str:
    quiet = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if not all(isinstance(node, (*quiet, ast.Import, ast.ImportFrom)) for node in body):
        return ""
    return ", ".join(node.name for node in body if isinstance(node, quiet))[:200]


def _line(error: BaseException) -> str:
    line, trace = getattr(error, "lineno", None), error.__traceback__
    while trace:
        line = trace.tb_lineno if trace.tb_frame.f_code.co_filename == "code" else line
        trace = trace.tb_next
    return f" (line {line})" if isinstance(line, int) else ""


def send(answer: BinaryIO, ok: bool, output: str, error: str, value: str | None, defined: str) -> None:
    """Write the answer."""
    texts = output[:MAX_OUTPUT_CHARS], error[: MAX_ERROR_CHARS + 20], value or ""
    shown = [printable(text).encode("utf-8", "replace") for text in texts]
    sizes = [len(text) for text in shown]
    names = defined.encode("utf-8", "replace")
    numbers = [int(ok), len(output.rstrip("\n")), *sizes[:2], -1 if value is None else sizes[2], len(names)]
    answer.write(" ".join(map(str, numbers)).encode() + b"\n" + b"".join(shown) + names)
    answer.flush()


def main() -> None:
    """Run the code from the input, answer, and exit without waiting for threads."""
    code, seconds, memory, is_counted_alone = json.loads(sys.stdin.readline())
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    limit_resources(seconds, memory, is_counted_alone)
    sys.stdout = sys.stderr = printed = _Output()
    ok, error, value, defined = execute(code)
    send(answer, ok, printed.getvalue(), error, None if value is None else NOT_SHOWN, defined)
    if value is not None:
        send(answer, ok, printed.getvalue(), error, text_of(value), defined)
    os._exit(0)


if __name__ == "__main__":
    main()
