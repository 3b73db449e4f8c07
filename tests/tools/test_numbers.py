"""Numbers as people of all countries write them, and what the tool for algebra makes of them."""

import asyncio
import json

import pytest

from qwendesk.errors import ToolError
from qwendesk.messages import Inbound
from qwendesk.tools.algebra import Algebra, algebra_tool, separated_expression
from qwendesk.tools.base import ToolContext
from qwendesk.tools.number_formats import convention_of, readings


@pytest.fixture(scope="module")
def ask():
    """One worker for all questions: starting SymPy costs more than all answers together."""
    with asyncio.Runner() as runner:
        engine = Algebra()

        def work(operation, expression, variable="x", **who):
            return runner.run(engine.work(operation, expression, variable, **who))

        yield work
        runner.run(engine.aclose())


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("7 250 + 1 000 000", "7250 + 1000000"),
        ("7\u00a0250", "7250"),
        ("7\u2009250", "7250"),
        ("7\u202f250,5", "7250.5"),
        ("7'250", "7250"),
        ("7’250’000.75", "7250000.75"),
        ("7.250.000", "7250000"),
        ("7.250.000,5", "7250000.5"),
        ("7,250,000.5", "7250000.5"),
        ("72,50,000", "7250000"),
        ("7_250", "7250"),
        ("٧٬٢٥٠٫٥", "7250.5"),
        ("७२,५०,०००", "7250000"),
        ("７２５０", "7250"),
        ("0.725", "0.725"),
        ("0,725", "0.725"),
        ("7,25", "7.25"),
        ("x_1 + x2", "x_1 + x2"),
        ("7 25", "7 25"),
    ],
)
def test_separators_of_all_locales(text, plain):
    (reading,) = readings(text)
    assert (reading.text, reading.taken) == (plain, "")


@pytest.mark.parametrize(
    ("text", "language", "written", "values"),
    [
        ("7.250", "en", None, ["7.250"]),
        ("7.250", "de", None, ["7250"]),
        ("7.250", "pt-BR", "quanto é 7.250?", ["7250"]),
        ("7,250", "en", "how much is that?", ["7250"]),
        ("7,250", "de", "7,250 kg", ["7.250"]),
        ("7.250", None, None, ["7250", "7.250"]),
        ("7,250", None, None, ["7250", "7.250"]),
        ("7.250", "es", "7.250", ["7250", "7.250"]),
        ("7.250", "es-ES", "7.250", ["7250"]),
        ("7,250", "es-MX", "7,250", ["7250"]),
        ("7.250", "de", "siebentausend", ["7250", "7.250"]),
        ("7.250 + 2,5", None, None, ["7250 + 2.5"]),
        ("7.250 + 0.5", None, None, ["7.250 + 0.5"]),
        ("7.250 + 0.5", "de", None, ["7250 + 0.5", "7.250 + 0.5"]),
        ("7.250 + 1.000.000", None, None, ["7250 + 1000000"]),
    ],
)
def test_the_language_of_who_wrote_a_number_decides(text, language, written, values):
    assert [reading.text for reading in readings(text, language, written)] == values


@pytest.mark.parametrize("text", ["7.2.5", "7,250.5,1", "1,2,3"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(ValueError, match="no number"):
        readings(text)


def test_an_unknown_language_is_no_error():
    assert convention_of("xx") == "point"


@pytest.mark.parametrize(
    ("operation", "expression", "result"),
    [
        ("evaluate", "7 250 / 2", "3625"),
        ("evaluate", "2{,}000 - 1", "1999"),
        ("evaluate", "(1,5 + 2) * 2", "7"),
        ("evaluate", "sqrt(2,500)", "50"),
        ("evaluate", "gcd(12,18)", "6"),
        ("evaluate", "gcd(1 200, 1.000.000)", "400"),
        ("evaluate", "3 3/4 - 1", "11/4 ≈ 2.750000000"),
        ("evaluate", "-2 1/2", "-5/2 ≈ -2.500000000"),
        ("evaluate", "2½ + ¼", "11/4 ≈ 2.750000000"),
        ("evaluate", "23 % 7", "2"),
        ("evaluate", "23%7", "2"),
        ("evaluate", "23 mod (3+4)", "2"),
        ("evaluate", "mod(23, 7)", "2"),
        ("evaluate", "-1 mod 7", "6"),
        ("evaluate", "30% of 70", "21"),
        ("evaluate", "30 % von 70", "21"),
        ("evaluate", "70 * 30%", "21"),
        ("evaluate", "200 + 15%", "230"),
        ("evaluate", "200 - 15%", "170"),
        ("evaluate", "(200 + 10%) * 2 + 1", "441"),
        ("evaluate", "200 + 10% + 10%", "242"),
        ("evaluate", "30% + 20%", "1/2 ≈ 0.5000000000"),
        ("evaluate", "3‰ of 2000", "6"),
        ("derivative", "u^4", "4*u^3"),
        ("integral", "2w", "w^2 + C"),
        ("solve", "2,5x = 5", "x = 2"),
        ("solve", "2x=4,3y=6", "x = 2, y = 2"),
    ],
)
def test_what_people_mean_is_computed(ask, operation, expression, result):
    assert ask(operation, expression) == result


@pytest.mark.parametrize(
    ("operation", "expression", "complaint"),
    [
        ("evaluate", "7 25", "two numbers side by side"),
        ("evaluate", "7 5/2", "two numbers side by side"),
        ("evaluate", "7 250/1000", "may be mixed"),
        ("evaluate", "15% 200", "write '15% of 200'"),
        ("evaluate", "gcd(1,500)", "one number or two"),
        ("evaluate", "5 mod 0", "modulo by zero|undefined|Modulo by zero"),
        ("derivative", "a*b", "no x: name one of its variables, a, b"),
    ],
)
def test_what_may_mean_several_things_is_not_computed(ask, operation, expression, complaint):
    with pytest.raises(ToolError, match=complaint):
        ask(operation, expression)


@pytest.mark.parametrize(
    ("operation", "expression", "variable", "result"),
    [
        ("evaluate", "x^2", "x=1,5", "9/4 ≈ 2.250000000"),
        ("evaluate", "x + 1", "x=12 500", "12501"),
        ("derivative", "x^2", "x=2,5", "5"),
        ("limit", "x + 1", "x->1,5", "5/2 ≈ 2.500000000"),
        ("integral", "x", "x=0,2", "2"),
        ("integral", "x", "x=0..2", "2"),
    ],
)
def test_a_point_is_read_like_any_number(ask, operation, expression, variable, result):
    assert ask(operation, expression, variable) == result


@pytest.mark.parametrize(
    ("operation", "variable", "complaint"),
    [
        ("evaluate", "x=1.250", "two readings"),
        ("evaluate", "x=1..2", "not one point"),
        ("integral", "x=3", "not a range"),
        ("integral", "x=1..2..3", "not a range"),
    ],
)
def test_a_point_in_doubt_is_asked_about(ask, operation, variable, complaint):
    with pytest.raises(ToolError, match=complaint):
        ask(operation, "x^2", variable, language=None)


def test_both_results_are_told_where_a_number_has_two_readings(ask):
    told = ask("evaluate", "7.250 * 2", language=None)
    assert told == "If 7.250 means 7250: 14500. If 7.250 means 7.25: 29/2 ≈ 14.50000000."
    assert ask("evaluate", "7.250 - 7.250", language=None) == "0"


@pytest.mark.parametrize(
    ("said", "language", "locale", "result"),
    [
        ("Was ist 7.250 * 2?", "de", None, "14500"),
        ("What is 7.250 * 2?", "en", None, "29/2"),
        ("7.250 * 2", None, None, "If 7.250 means 7250"),
        ("7.250 * 2", None, "it", "14500"),
        ("¿Cuánto es 7.250 * 2?", "es", "es-MX", "29/2"),
        ("Das Doppelte von siebentausendzweihundertfünfzig?", "de", None, "If 7.250 means 7250"),
    ],
)
async def test_the_tool_knows_who_asks(said, language, locale, result):
    tool = algebra_tool()
    try:
        context = ToolContext(Inbound(said, "c", locale=locale), language)
        told = await tool.ainvoke({"operation": "evaluate", "expression": "7.250 * 2", "context": context})
        assert told.startswith(result)
    finally:
        await tool.aclose()


async def test_a_turn_tells_the_tool_its_language(make_desk):
    call = {"name": "algebra", "arguments": {"operation": "evaluate", "expression": "7.250 * 2"}}
    async with make_desk([f"<tool_call>{json.dumps(call)}</tool_call>", "Das sind 14.500."]) as desk:
        reply = await desk.ask("Wie viel ist 7.250 * 2, bitte? Ich brauche das Ergebnis.")
    assert reply.receipt.tools[0].result == "14500"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("What is 12 500 + 3 000?", "12 500 + 3 000"),
        ("Was ist 1.000 + 1?", "1.000 + 1"),
        ("Quanto fa 1.234.567,5 × 2 ?", "1.234.567,5 × 2"),
        ("1'000*2", "1'000*2"),
        ("5\u202f000 / 4 = ?", "5\u202f000 / 4"),
        ("1.000 - 1", "1.000 - 1"),
        ("(12 500 + 3 000) * 2", "(12 500 + 3 000) * 2"),
        ("What is 37*91+4?", None),
        ("Lampen zwischen 1.000 - 2.000 CHF?", None),
        ("x = 1.000 + y", None),
        ("version v1.000+2", None),
        ("2026-11-30 10:00 + 3", None),
        ("call 0 800 123 456", None),
        ("12 500 + 3 000 and 1 000 + 2", None),
    ],
)
def test_an_expression_with_separated_numbers_is_found_in_a_message(message: str, expected: str | None) -> None:
    assert separated_expression(message) == expected
