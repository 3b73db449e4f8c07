"""Python code of an answer: what the sandbox says of it, and the examples of the question."""

from collections.abc import AsyncIterator

import pytest

from qwendesk.agents.checks.code import CODE_RUNS, MEETS_EXAMPLES, check_code
from qwendesk.agents.checks.question_examples import find_examples
from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox

SQUARE = "def square(n):\n    return n * n"


@pytest.fixture
async def sandbox() -> AsyncIterator[PythonSandbox]:
    sandbox = PythonSandbox()
    yield sandbox
    await sandbox.aclose()


def answered(*blocks: str, language: str = "python") -> str:
    return "Here it is:\n\n" + "\n\nand\n\n".join(f"```{language}\n{block}\n```" for block in blocks)


async def checked(sandbox: PythonSandbox, answer: str, question: str = "") -> Check:
    (check,) = await check_code(answer, sandbox, Inbound(f"Write it.\n{question}", "c"))
    return check


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import no_such_package\nno_such_package.go()", "not run: ModuleNotFoundError"),
        ("from math import no_such_name", "not run: ImportError"),
        ("data = open('/data/sales.csv').read()", "not run: "),
        ("import urllib.request\nurllib.request.urlopen('http://example.com')", "not run: "),
        ("import tkinter\ntkinter.Tk()", "not run: "),
        ("numbers = [0] * 10**10", "not run: MemoryError"),
        ("frame.groupby('town').sum()", "a part of a program: NameError"),
        ("for row in rows\n    print(row)", "a part of a program: SyntaxError"),
        ("print('hello')", "ran without an error, compared with nothing; printed: hello"),
        (SQUARE, "ran without an error, compared with nothing"),
    ],
)
async def test_code_that_was_compared_with_nothing_did_not_pass(sandbox: PythonSandbox, code: str, reason: str) -> None:
    check = await checked(sandbox, answered(code))
    assert (check.name, check.outcome) == (CODE_RUNS, "skipped")
    assert check.detail.startswith(reason)


@pytest.mark.parametrize(
    ("code", "reason"),
    [("name = input('Your name: ')", "it reads input"), ("import sys\nsys.exit(2)", "it ends itself")],
)
async def test_code_that_needs_a_person_or_ends_the_program_is_not_run(
    sandbox: PythonSandbox, code: str, reason: str
) -> None:
    check = await checked(sandbox, answered(code))
    # the sandbox without bubblewrap does not know the names
    assert check.detail.startswith(f"not run: {reason}" if await sandbox.bubblewrap.works() else "not run: ")
    assert (check.name, check.outcome) == (CODE_RUNS, "skipped")


@pytest.mark.slow
async def test_code_that_takes_too_long_is_not_run(sandbox: PythonSandbox) -> None:
    check = await checked(sandbox, answered("while True:\n    pass"))
    assert (check.outcome, check.detail.partition(":")[0]) == ("skipped", "not run")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("def square(n):\n    return n *", "SyntaxError"),
        ("def twice(n):\n    return Twice(n)\n\ntwice(2)", "NameError"),
        ("print(1 / 0)", "ZeroDivisionError"),
        ("def again():\n    return again()\n\nagain()", "RecursionError"),
    ],
)
async def test_an_error_of_the_code_itself_fails(sandbox: PythonSandbox, code: str, error: str) -> None:
    check = await checked(sandbox, answered(code))
    assert (check.name, check.outcome) == (CODE_RUNS, "failed")
    assert check.detail.startswith(error)


async def test_a_session_another_language_and_no_language_are_not_run(sandbox: PythonSandbox) -> None:
    text = answered(">>> square(2)\n4") + answered("let x = ;", language="js") + answered("square(", language="")
    assert await check_code(text, sandbox) == []


async def test_a_fragment_beside_a_program_does_not_break_it(sandbox: PythonSandbox) -> None:
    check = await checked(sandbox, answered(SQUARE, "square(your_number)"), "square(3) == 9")
    assert (check.name, check.outcome) == (MEETS_EXAMPLES, "passed")


async def test_code_may_build_on_the_code_of_the_question(sandbox: PythonSandbox) -> None:
    given = "from typing import List\n\ndef half(n):\n    return n // 2\n\ndef halves(numbers: List[int]):\n    pass"
    question = f"Complete it:\n\n```python\n{given}\n```\nhalves([2, 4]) == [1, 2]"
    code = "def halves(numbers: List[int]):\n    return [half(number) for number in numbers]"
    assert (await checked(sandbox, answered(code), question)).outcome == "passed"


async def test_what_the_first_sandbox_lacks_is_run_or_not_run(sandbox: PythonSandbox) -> None:
    check = await checked(sandbox, answered(f"from math import *\n\n{SQUARE}"), "square(2) == 4")
    assert check.outcome == ("passed" if await sandbox.bubblewrap.works() else "skipped")


async def test_passed_names_what_was_compared(sandbox: PythonSandbox) -> None:
    check = await checked(sandbox, answered(SQUARE), "Write square: square(2) returns 4, square(-3) returns 9.")
    assert check == Check(MEETS_EXAMPLES, "passed", "2 of 2 give the stated value: square(2) == 4, square(-3) == 9")


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("def square(n):\n    return n + n", "square(3) gives 6, expected 9 (1 of 2 examples differ)"),
        ("def square(n):\n    print(n * n)", "square(2) gives None, expected 4 (2 of 2 examples differ)"),
        ("def square(n):\n    return [4][n - 2]", "square(3) raises IndexError: list index out of range"),
    ],
)
async def test_a_failed_example_is_told_with_both_values(sandbox: PythonSandbox, code: str, detail: str) -> None:
    check = await checked(sandbox, answered(code), ">>> square(2)\n4\n>>> square(3)\n9\n")
    assert (check.name, check.outcome) == (MEETS_EXAMPLES, "failed")
    assert check.detail.startswith(detail)


async def test_an_example_that_the_sandbox_cannot_run_is_not_compared(sandbox: PythonSandbox) -> None:
    code = "def load(path):\n    return open(path).read()"
    check = await checked(sandbox, answered(code), "load('/data/a.txt') == 'a'")
    assert (check.name, check.outcome) == (MEETS_EXAMPLES, "skipped")


@pytest.mark.parametrize(
    ("question", "examples"),
    [
        ("f(2) == 4, f(3) -> 9", ["f(2) == 4", "f(3) == 9"]),
        ("`f(2)` should return `4` because 2 * 2 is 4", ["f(2) == 4"]),
        ("f(2) gibt 4 zurück. f(3) devuelve 9.", ["f(2) == 4", "f(3) == 9"]),
        ("f('a') ➞ 'A' and f('b') ➞ 'B'", ["f('a') == 'A'", "f('b') == 'B'"]),
        ("f(2)  # returns 4", ["f(2) == 4"]),
        (">>> f(2)\n4\n>>> f(3)\n9", ["f(2) == 4", "f(3) == 9"]),
        ("assert f(2) == 4\nassert not f(0)", ["f(2) == 4", "bool(f(0)) == False"]),
        ("assert f(2) == set([4])", ["f(2) == set([4]) == True"]),
        ("Input: n = 5\nOutput: 25", ["f(n=5) == 25"]),
        ("**Input:** `[1, 2]`\n**Output:** `3`", ["f([1, 2]) == 3"]),
    ],
)
def test_examples_of_many_forms_are_found(question: str, examples: list[str]) -> None:
    assert [each.stated for each in find_examples(f"Write it.\n{question}", {"f": ("n",)})] == examples


@pytest.mark.parametrize(
    "question",
    [
        "f(2) = 1,000",
        "f(2) returns 4 or 5",
        "f(2) returns 4 apples",
        "f(2) is called twice",
        "f(2) -> 4 + 1",
        "f(x) == 4",
        "f(2) == 4\nf(2) == 5",
        "f(1) = 3\nf(n) = f(n - 1) + 2",
        "g(2) == 4",
        ">>> print(f(2))\n4",
        ">>> f(2)\n4\n5\n",
        "Input: 5\n3 4\nOutput: 25",
        "Input: 1, 2\nOutput: 3",
        "Input: m = 2\nOutput: 3",
        "def f(n) -> 4",
        "f(" * 10_000,
        "f()=, " * 3_000,
        "f(1) = ((((((((((((((((\n" * 800,
        "f(1) = " + "a, " * 6_000,
        f"assert f({'-' * 330}1) == 1",
        f"assert f({'-' * 280}1) == 1",
        f"assert not f({'~' * 280}1)",
        f"assert f({'-' * 280}1)",
        f">>> f({'not ' * 70}1)\n1",
        f"f({'-' * 280}1) == 1",
        f"f(1) == {'-' * 280}1",
        f"f(1) == {'[' * 90}{']' * 90}",
        f"f({'(1)' + '(1)' * 90}) == 1",
        f"Input: {'[' * 90}{']' * 90}\nOutput: 1",
        "f(" + "a" * 20_000,
        "*" * 20_000,
        "Input:" + " " * 20_000,
    ],
)
def test_what_has_two_readings_is_no_example(question: str) -> None:
    assert find_examples(f"Write it.\n{question}", {"f": ("n",)}) == []


@pytest.mark.parametrize(
    ("question", "outcome"),
    [
        ("pair(2) returns [2, 3]", "passed"),
        ("pair(2) -> (2, 3)", "passed"),
        ("pair(2) gibt [2, 3] zurück", "passed"),
        ("Input: 2\nOutput: [2, 3]", "passed"),
        ("pair(2) returns [2, 4]", "failed"),
        ("pair(2) returns [2]", "failed"),
        (">>> pair(2)\n(2, 3)\n", "passed"),
        (">>> pair(2)\n[2, 3]\n", "failed"),
        ("assert pair(2) == (2, 3)", "passed"),
        ("assert pair(2) == [2, 3]", "failed"),
    ],
)
async def test_only_python_code_tells_a_list_from_a_tuple(sandbox: PythonSandbox, question: str, outcome: str) -> None:
    check = await checked(sandbox, answered("def pair(n):\n    return (n, n + 1)"), question)
    assert (check.name, check.outcome) == (MEETS_EXAMPLES, outcome)


async def test_a_deep_expression_of_the_question_is_compared_with_nothing(sandbox: PythonSandbox) -> None:
    check = await checked(sandbox, answered(SQUARE), f"assert square({'-' * 330}1) == 1")
    assert (check.name, check.outcome) == (CODE_RUNS, "skipped")


async def test_a_rounded_value_is_met_by_the_exact_one(sandbox: PythonSandbox) -> None:
    code = "def third(n):\n    return n / 3"
    assert (await checked(sandbox, answered(code), "third(8) returns 2.67")).outcome == "passed"
    assert (await checked(sandbox, answered(code), "third(8) returns 2.68")).outcome == "failed"
