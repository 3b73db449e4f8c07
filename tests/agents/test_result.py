"""Whether an answer states what its tools found."""

import pytest

from qwendesk.agents.checks.result import check_grounded, check_result
from qwendesk.messages import ToolUse


def used(name: str, result: str, *, ok: bool = True) -> list[ToolUse]:
    return [ToolUse(name, {}, ok, result, 1.0)]


@pytest.mark.parametrize(
    ("text", "result", "outcome"),
    [
        ("It is 3371.", "3371", "passed"),
        ("It is 3,371.", "3371", "passed"),
        ("It is 17.", "7", "failed"),
        ("About 4.02 million.", "4.022714", "passed"),
        ("About 4.1 million.", "4.022714", "failed"),
        ("It is 36.", "36.0", "passed"),
        ("It is −5.", "-5", "passed"),
        ("f'(x) = 3x² + 4x − 5", "3*x^2 + 4*x - 5", "passed"),
        (r"\\( 3x^{2} + 4x - 5 \\)", "3*x^2 + 4*x - 5", "passed"),
        ("f'(x) = 3x² + 5", "3*x^2 + 4*x - 5", "failed"),
    ],
)
def test_a_calculated_result_is_looked_for(text: str, result: str, outcome: str) -> None:
    assert [check.outcome for check in check_result(text, used("python", result))] == [outcome]


@pytest.mark.parametrize("result", ["True", "one\ntwo", "x" * 100, "no solution"])
def test_what_is_no_result_is_not_looked_for(result: str) -> None:
    assert check_result("Yes.", used("python", result)) == []
    assert check_result("Yes.", used("python", "7", ok=False)) == []


def test_invented_numbers_are_found_and_list_numbers_are_not() -> None:
    uses = used("order_status", "Order B-77 arrives in 3 days.")
    assert check_grounded("1. B-77\n2. It arrives in 3 days", "Where is B-77?", uses)[0].outcome == "passed"
    assert check_grounded("It came on the 29th.", "Where is B-77?", uses)[0].outcome == "failed"
