"""Whether an answer states what its tools found."""

import pytest

from qwendesk.agents.checks.tool_results import check_choices, check_grounded, check_result, report_unchecked
from qwendesk.desk.turns.receipt import explain
from qwendesk.messages import Receipt, ToolUse


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


@pytest.mark.parametrize(
    ("text", "result", "language", "outcome"),
    [
        ("Das sind 3.371.", "3371", "de", "passed"),
        ("It is 3.371.", "3371", "en", "failed"),
        ("Cela fait 3\u202f371.", "3371", "fr", "passed"),
        ("Das sind 3’371.", "3371", "de", "passed"),
        ("यह 33,71,000 है", "3371000", "hi", "passed"),
        ("الناتج ٣٬٣٧١", "3371", "ar", "passed"),
        ("結果は3371です。", "3371", "ja", "passed"),
        ("Das sind 12,5.", "12.5", "de", "passed"),
        ("It is 12.5%.", "0.125", "en", "passed"),
        ("It is 5.", "-5", "en", "failed"),
        ("It is -5.", "5", "en", "failed"),
        ("Order 4711 is ready.", "4", "en", "failed"),
        ("Order 4711 is ready.", "711", "en", "failed"),
        ("It is 2026-11-30.", "30", "en", "failed"),
        ("At 12:30.", "12", "en", "failed"),
        ("x = 47", "x = 4", "en", "failed"),
        ("2x = 4", "x = 4", "en", "failed"),
        ("x = 4.", "x = 4", "en", "passed"),
        ("f'(x) = 3x² + 4x³", "3*x^2 + 4*x", "en", "failed"),
        ("f'(x) = -3x² + 4x", "3*x^2 + 4*x", "en", "failed"),
        ("It is 7.2.", "36/5 ≈ 7.200000000", "en", "passed"),
        ("It is 36/5.", "36/5 ≈ 7.200000000", "en", "passed"),
        ("x = -2 or x = 2", "x = -2; or x = 2", "en", "passed"),
        ("x = 2", "x = -2; or x = 2", "en", "failed"),
        ("It is 1001.", "If 1.000 means 1000: 1001. If 1.000 means 1: 2.", None, "failed"),
        ("1001, or 2 if you mean one.", "If 1.000 means 1000: 1001. If 1.000 means 1: 2.", None, "passed"),
    ],
)
def test_numbers_are_compared_as_the_language_writes_them(
    text: str, result: str, language: str | None, outcome: str
) -> None:
    assert [check.outcome for check in check_result(text, used("algebra", result), language)] == [outcome]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Order 4711 is ready in 4 weeks.", "passed"),
        ("Bestellung 4711 ist in 4 Wochen fertig und kostet 1.250,50 €.", "passed"),
        ("Заказ 4711 будет готов через 4 недели.", "passed"),
        ("注文4711は4週間で完成します。", "passed"),
        ("Order 4711 is ready in 4 days.", "failed"),
        ("Bestellung 4711 ist in 4 Tagen fertig.", "failed"),
        ("It costs $1,250.50.", "failed"),
        ("Order 47 is ready.", "failed"),
        ("Order 711 is ready.", "failed"),
        ("It is ready in 11 weeks.", "failed"),
        ("It is on its way.", "skipped"),
    ],
)
def test_looked_up_numbers_are_compared_with_their_units(text: str, outcome: str) -> None:
    uses = used("order_status", "Order 4711: ready in 4 weeks, 1250.50 EUR.")
    (check,) = check_grounded(text, "Where is my order?", uses, None)
    assert check.outcome == outcome


def test_a_check_claims_no_more_than_it_compared() -> None:
    uses = used("order_status", "Order 4711: ready in 4 weeks.")
    (check,) = check_grounded("The order 4711 is ready in 4 weeks and is paid metatively.", "", uses)
    assert (check.name, check.outcome) == ("has only numbers that were looked up", "passed")
    assert check.detail == "4711, 4 weeks; the words were not compared"


def test_a_result_that_cannot_be_looked_for_is_not_checked() -> None:
    uses = used("python", "one\ntwo")
    (check,) = report_unchecked(uses, check_result("Both.", uses))
    assert (check.name, check.outcome) == ("contains the tool's result", "skipped")
    assert not report_unchecked(used("clock", "noon"), [])


def test_why_says_what_was_not_checked() -> None:
    receipt = Receipt("math", "m", "e", 0.9, None, ("sums",), "en", False, (), 1, 2, 3.0, 4.0, (), 5.0).as_dict()
    check = {"name": "contains the tool's result", "outcome": "skipped", "detail": "it is long"}
    assert "- not checked: contains the tool's result: it is long" in explain(receipt | {"checks": [check]})
    assert "- not checked: nothing here could be compared" in explain(receipt | {"checks": []})


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("It is 21:38.", "passed"),
        ("It is 9:38 PM.", "passed"),
        ("It is 9:38 p.m. on Monday.", "passed"),
        ("It is 21:38 PM.", "passed"),
        ("It is 21:38 AM.", "failed"),
        ("It is 9:38 AM.", "failed"),
        ("It is 38:21.", "failed"),
        ("What time is it in Tokyo?", "failed"),
    ],
)
def test_a_time_is_compared_with_its_half_of_the_day(text: str, outcome: str) -> None:
    uses = used("clock", "Monday, 2026-11-30 21:38 (Asia/Tokyo, UTC+09:00)")
    (check,) = check_grounded(text, "What time is it in Tokyo?", uses, "en")
    assert check.outcome == outcome


@pytest.mark.parametrize(
    ("text", "language", "outcome"),
    [
        ("It is 2:05 PM, Monday November 30, 2026.", "en", "passed"),
        ("It is 2:05 p.m.", "en", "passed"),
        ("It is 2:06 PM.", "en", "failed"),
        ("It is 14:05, not 9.", "en", "failed"),
        ("It is 14:05 (UTC-05:00).", "en", "passed"),
        ("It is 14:05 (UTC-08:00).", "en", "failed"),
        ("Es ist 14.05 Uhr.", "de", "passed"),
        ("Es ist 14.06 Uhr.", "de", "failed"),
        ("Il est 14h05.", "fr", "passed"),
        ("14時05分です。", "ja", "passed"),
    ],
)
def test_a_time_is_compared_as_a_whole(text: str, language: str, outcome: str) -> None:
    uses = used("clock", "Monday, 2026-11-30 14:05 (America/New_York, UTC-05:00)")
    (check,) = check_grounded(text, "What time is it?", uses, language)
    assert check.outcome == outcome


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("Which one do you mean: Portland in Oregon or in Maine?", "passed"),
        ("It is 04:22 in one of them and 07:22 in the other.", "passed"),
        ("It is 07:22 in Portland.", "failed"),
        ("Portland is a nice place.", "failed"),
    ],
)
async def test_an_ambiguous_place_is_asked_back(text: str, outcome: str) -> None:
    told = (
        "'Portland' may mean several places. Tell the person all of these times, or ask which place is meant:\n"
        "- Portland, Oregon, US: Monday, 2026-11-30 04:22 (America/Los_Angeles, UTC-08:00)\n"
        "- Portland, Maine, US: Monday, 2026-11-30 07:22 (America/New_York, UTC-05:00)"
    )
    (check,) = check_choices(text, used("clock", told))
    assert check.outcome == outcome and "Tell the person" not in check.detail
    assert check_choices(text, used("clock", "Monday, 2026-11-30 07:22 (America/New_York, UTC-05:00)")) == []
