"""HumanEval and MBPP: functions whose tests run in the sandbox."""

from __future__ import annotations

import hashlib
import re
import textwrap
from abc import abstractmethod
from pathlib import Path
from typing import Any

from qwendesk.testing.quality.base import Answer, Question, Score, Suite
from qwendesk.testing.quality.reading import find_file, read_rows
from qwendesk.tools.sandbox import PythonSandbox

_BLOCK = re.compile(
    r"^[ \t]*```(?:python3?|py)?[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.MULTILINE | re.DOTALL | re.IGNORECASE
)
_CODE_LINE = re.compile(r"^(?:async def|def|class|import|from|@)\b", re.MULTILINE)
_TEST_SECONDS = 10.0


class CodeSuite(Suite):
    """Functions to write; an answer is right if the tests of its question pass."""

    def questions(self, data: Path | None) -> list[Question]:
        """Return the functions to write."""
        return read_rows(find_file(data, self.name, self.files), self.question)

    @abstractmethod
    def question(self, row: dict[str, Any]) -> Question:
        """Return the question of a line."""

    @abstractmethod
    def program(self, question: Question, answer: str) -> str:
        """Return the program that fails if the answer is wrong."""

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Run the tests in the sandbox; code that it cannot run has no score."""
        # printed by the last line alone: code that ends the program early does not pass
        passed = f"passed-{hashlib.sha256(question.id.encode()).hexdigest()[:16]}"
        result = await sandbox.run(f"{self.program(question, answer.text)}\n{passed!r}", timeout=_TEST_SECONDS)
        if result.ok:
            return Score(
                passed in (result.value or ""), "the tests passed" if result.value else "the tests did not end"
            )
        if result.unsupported:
            return Score(None, f"not run: {result.error}", ("not run",))
        return Score(False, result.error)


class HumanEval(CodeSuite):
    """HumanEval: complete a Python function of which signature and docstring are given."""

    name = "humaneval"
    summary = "Python functions by signature and docstring; the tests run in the sandbox."
    files = ("humaneval.jsonl",)

    def question(self, row: dict[str, Any]) -> Question:
        """Ask for the whole function."""
        prompt, entry, test = str(row["prompt"]), str(row["entry_point"]), str(row["test"])
        text = f"Complete this Python function. Write the whole function.\n\n```python\n{prompt.strip()}\n```"
        return Question(str(row["id"]), text, row={"prompt": prompt, "entry_point": entry, "test": test})

    def program(self, question: Question, answer: str) -> str:
        """Put the answer behind the imports and helpers of the prompt, and the tests behind the answer."""
        prompt, entry = question.row["prompt"], question.row["entry_point"]
        code = written_code(answer, entry)
        before = prompt[: prompt.rindex(f"def {entry}")] if f"def {entry}" in prompt else ""
        whole = f"{before}\n{code}" if defines(code, entry) else f"{prompt}\n{code}"
        return f"{whole}\n\n{question.row['test']}\n\ncheck({entry})"


class Mbpp(CodeSuite):
    """MBPP: write a Python function by one sentence and its tests."""

    name = "mbpp"
    summary = "Python functions by a sentence and its tests; the tests run in the sandbox."
    files = ("mbpp.jsonl",)

    def question(self, row: dict[str, Any]) -> Question:
        """Ask for a function that passes the tests, as MBPP's paper does."""
        tests = [str(test) for test in row["tests"]]
        imports = [str(line) for line in row.get("test_imports", ())]
        text = f"{row['prompt']} Write it in Python. Your code should pass these tests:\n\n" + "\n".join(tests)
        return Question(
            str(row["id"]), text, row={"tests": tests, "imports": imports, "entry_point": _tested(tests[0])}
        )

    def program(self, question: Question, answer: str) -> str:
        """Put the tests behind the answer."""
        code = written_code(answer, question.row["entry_point"])
        return "\n".join([*question.row["imports"], code, *question.row["tests"]])


def _tested(test: str) -> str:
    """Return the function that a test calls: the first name with an opening bracket that is no built-in wrapper."""
    names = re.findall(r"(\w+)\s*\(", test)
    wrappers = {"set", "sorted", "list", "tuple", "round", "abs", "isclose", "len", "str", "dict", "assert"}
    return next((name for name in names if name not in wrappers), "")


def defines(code: str, name: str) -> bool:
    """Return whether code defines a function of that name at its top level."""
    return bool(name) and bool(re.search(rf"^(?:async )?def {re.escape(name)}\b", code, re.MULTILINE))


def written_code(answer: str, name: str) -> str:
    """Return the code of an answer: its last block that defines the function, else its last block, else its text."""
    blocks = [_unindented(block, name) for block in _BLOCK.findall(answer)]
    if not blocks:
        start = _CODE_LINE.search(answer)
        return answer[start.start() :] if start else answer
    return next((block for block in reversed(blocks) if defines(block, name)), blocks[-1])


def _unindented(block: str, name: str) -> str:
    """Return a block of a list item without the item's indentation; the body of a function keeps its own."""
    dedented = textwrap.dedent(block)
    return dedented if defines(dedented, name) else block
