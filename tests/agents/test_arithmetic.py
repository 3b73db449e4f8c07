"""Recomputing what an answer states of numbers."""

from collections.abc import AsyncIterator

import pytest

from qwendesk.agents.checks.arithmetic import check_arithmetic, find_equations
from qwendesk.tools.sandbox import PythonSandbox


@pytest.fixture
async def sandbox() -> AsyncIterator[PythonSandbox]:
    sandbox = PythonSandbox()
    yield sandbox
    await sandbox.aclose()


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        ("37 * 91 + 4 = 3371", ["passed"]),
        ("37*91+4=3370", ["failed"]),
        (r"So \(37 \times 91 + 4 = 3371\).", ["passed"]),
        (r"\[ 2{,}000 \times 1.15^5 \approx 4022.71 \]", []),
        ("$2 × 1.15^5 ≈ 4.02$", ["passed"]),
        ("10 / 3 = 3.33", ["passed"]),
        ("10 / 3 = 3.43", ["failed"]),
        ("1,000 * 3 = 3,000", ["passed"]),
        ("2 + 3 = 5 = 10 / 2", ["passed"]),
        ("2 + 2 = 4, and 3 + 3 = 7.", ["passed", "failed"]),
        ("1,5 * 2 = 3", []),
        ("x = 3 and 2x + 1 = 7", []),
        ("Version 2.0 - 3 = beta", []),
        ("Call 555-1234 = home", []),
        ("1/0 = 7", []),
        ("9**9**9 = 3", []),
        ("no numbers at all", []),
        ("= = = 1 + ", []),
    ],
)
async def test_statements_are_recomputed(text: str, outcomes: list[str], sandbox: PythonSandbox) -> None:
    assert [check.outcome for check in await check_arithmetic(text, sandbox)] == outcomes


def test_a_long_text_is_read_in_good_time() -> None:
    assert find_equations("(" * 50_000) == []
    assert find_equations("1+" * 50_000 + "=") == []
