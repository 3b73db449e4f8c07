"""Check the Python code of an answer in the sandbox, and compare it with the examples of the question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from qwendesk.agents.checks.code_blocks import context_of, functions, is_whole, python_blocks
from qwendesk.agents.checks.question_examples import Example, find_examples
from qwendesk.messages import Check, Inbound
from qwendesk.tools.base import NOT_RERUN
from qwendesk.tools.bubblewrap import RunResult
from qwendesk.tools.sandbox import PythonSandbox

CODE_RUNS = "code runs"
"""The check that the code runs without an error."""
MEETS_EXAMPLES = "examples of the question"
"""The check that the code returns what the question states for its examples."""
_FRAGMENT_ERRORS = ("SyntaxError", "IndentationError", "NameError")
"""Errors of lines that were taken out of a program."""
_LIMITS = re.compile(
    r"(?:EOFError|TimeoutError|MemoryError|ImportError|ModuleNotFoundError|FileNotFoundError|FileExistsError|"
    r"PermissionError|NotADirectoryError|IsADirectoryError|OSError|BlockingIOError|Connection\w*Error|BrokenPipeError|"
    r"gaierror|URLError|HTTPError|SSLError|TclError|SystemExit|KeyboardInterrupt|NotImplementedError: .*monty|"
    r"The code (?:ended the sandbox|could not be run))"
)
"""Errors of code that needs what the sandbox lacks: packages, input, files, network, a screen, more time or memory."""
_REASONS = {"EOFError": "it reads input", "SystemExit": "it ends itself"}
_MAX_DETAIL_CHARS = 300
_MAX_STATED_CHARS = 100
# its value has one line for each example
_COMPARISON = """
def _is_same(value, expected, digits, tells_tuples):
    if isinstance(value, (int, float)) and isinstance(expected, float):
        if value == expected:
            return True
        slack = 0.5000001 * 10 ** -digits if digits is not None and digits >= 2 else 0.0
        return abs(value - expected) <= max(slack, 1e-6 * abs(expected))
    if isinstance(value, (list, tuple)) and isinstance(expected, (list, tuple)):
        if len(value) != len(expected) or (tells_tuples and isinstance(value, list) != isinstance(expected, list)):
            return False
        for index in range(len(value)):
            if not _is_same(value[index], expected[index], digits, tells_tuples):
                return False
        return True
    return bool(value == expected)

def _difference(value, expected, digits, tells_tuples):
    return "" if _is_same(value, expected, digits, tells_tuples) else repr(value)[:60].replace("\\n", " ")
"""


async def check_code(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Run the Python blocks of the answer together, then call their functions with the examples of the question."""
    blocks = python_blocks(text)
    if not blocks:
        return []
    question = inbound.text if inbound else ""
    code, context, result = await _run_blocks(blocks, question, sandbox, inbound)
    if not result.ok:
        return [_error(code, result)]
    # functions of the question's own code are not the answer's to get right
    examples = await asyncio.to_thread(find_examples, question, functions(code))
    if not examples:
        told, shown = "ran without an error, compared with nothing", result.output.strip()
        return [Check(CODE_RUNS, "skipped", _short(f"{told}; printed: {shown}" if shown else told))]
    return [await _compare(f"{context}{code}", examples, sandbox, inbound)]


async def _run_blocks(
    blocks: Sequence[str], question: str, sandbox: PythonSandbox, inbound: Inbound | None
) -> tuple[str, str, RunResult]:
    """Run the blocks; return the answer's code, the question's code that was put before it, and the result.

    Imports and helpers of the question's own code are put before the answer's code, unless it fails with them. A block
    that is no whole program is left out if the code fails with it.
    """
    code, whole = "\n".join(blocks), "\n".join(block for block in blocks if is_whole(block))
    context = _context(question, code)
    result = await sandbox.run(f"{context}{code}", inbound=inbound)
    if _may_be_fragment(result) and whole and whole != code:
        code, result = whole, await sandbox.run(f"{context}{whole}", inbound=inbound)
    if context and not result.ok:
        context, result = "", await sandbox.run(code, inbound=inbound)
    return code, context, result


def _context(question: str, code: str) -> str:
    pieces = [context_of(block, without=set(functions(code))) for block in python_blocks(question)]
    return "".join(f"{piece}\n\n" for piece in pieces if piece)


def _may_be_fragment(result: RunResult) -> bool:
    return not result.ok and result.error.startswith(_FRAGMENT_ERRORS)


def _error(code: str, result: RunResult) -> Check:
    """Return the check of code that ended with an error."""
    if _is_limit(result):
        reason = _REASONS.get(result.error.partition(":")[0])
        detail = f"{reason}, which the sandbox cannot follow ({result.error})" if reason else result.error
        return Check(CODE_RUNS, "skipped", detail if detail == NOT_RERUN else _short(f"not run: {detail}"))
    if _may_be_fragment(result) and not is_whole(code):
        return Check(CODE_RUNS, "skipped", _short(f"a part of a program: {result.error}"))
    return Check(CODE_RUNS, "failed", _short(result.error))


def _is_limit(result: RunResult) -> bool:
    return result.unsupported or bool(_LIMITS.match(result.error))


async def _compare(code: str, examples: Sequence[Example], sandbox: PythonSandbox, inbound: Inbound | None) -> Check:
    """Call the functions with the examples, all in one run, or one by one if that run ends with an error."""
    values = await _differences(code, examples, sandbox, inbound)
    if values is None:
        values = []
        for example in examples:
            values += await _differences(code, [example], sandbox, inbound) or [None]
    pairs = list(zip(examples, values, strict=True))
    compared = [(example, value) for example, value in pairs if value is not None]
    differing = [(example, value) for example, value in compared if value]
    if differing:
        example, value = differing[0]
        more = f" ({len(differing)} of {len(compared)} examples differ)" if len(compared) > 1 else ""
        return Check(MEETS_EXAMPLES, "failed", _short(f"{value}, expected {_cut(example.expected)}{more}"))
    if not compared:
        return Check(MEETS_EXAMPLES, "skipped", "the sandbox could not run them to their end")
    told = ", ".join(_cut(example.stated) for example, _ in compared)
    return Check(MEETS_EXAMPLES, "passed", _short(f"{len(compared)} of {len(examples)} give the stated value: {told}"))


async def _differences(
    code: str, examples: Sequence[Example], sandbox: PythonSandbox, inbound: Inbound | None
) -> list[str | None] | None:
    """Return, for each example, its differing value in words, "" if there is none, None if it could not be run.

    None instead of the list: one of several examples ended with an error.
    """
    calls = ", ".join(
        f"_difference({each.call}, {each.expected}, {each.digits}, {each.tells_tuples})" for each in examples
    )
    result = await sandbox.run(f"{code}\n{_COMPARISON}\n'\\n'.join([{calls}])", inbound=inbound)
    lines = (result.value or "").split("\n")
    if result.ok and result.value is not None and len(lines) == len(examples):
        return [line and f"{_cut(each.call)} gives {line}" for each, line in zip(examples, lines, strict=True)]
    if result.ok or _is_limit(result):
        return [None] * len(examples)
    return None if len(examples) > 1 else [f"{_cut(examples[0].call)} raises {result.error}"]


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_STATED_CHARS else f"{text[:_MAX_STATED_CHARS]}…"


def _short(text: str) -> str:
    return text if len(text) <= _MAX_DETAIL_CHARS else f"{text[:_MAX_DETAIL_CHARS]}…"
