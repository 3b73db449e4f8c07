"""Recomputing what an answer states of numbers, and correcting it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk.agents.checks.arithmetic import check_arithmetic, check_equations, correct_arithmetic
from qwendesk.agents.checks.equations import find_equations
from qwendesk.tools.sandbox import PythonSandbox
from tests.conftest import MakeDesk


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
        (r"\[ 2{,}000 \times 1.15^5 \approx 4022.71 \]", ["passed"]),
        ("$2 × 1.15^5 ≈ 4.02$", ["passed"]),
        ("10 / 3 = 3.33", ["passed"]),
        ("10 / 3 = 3.43", ["failed"]),
        ("1,000 * 3 = 3,000", ["passed"]),
        ("2 + 3 = 5 = 10 / 2", ["passed"]),
        ("2 + 2 = 4, and 3 + 3 = 7.", ["passed", "failed"]),
        ("1,5 * 2 = 3", ["passed"]),
        ("1,5 * 2 = 4", ["failed"]),
        ("1.000 + 500 = 1.500", ["passed"]),
        ("12 eggs/box × 3 boxes = 36 eggs", ["passed"]),
        ("3 boxes × 12 eggs per box = 35 eggs", ["failed"]),
        (r"\[ \frac{60}{12} = 5 \text{ hours} \]", ["passed"]),
        (r"\(\frac{60}{12} = \boxed{6}\)", ["failed"]),
        ("15% of 200 = 30", ["passed"]),
        ("15% of 200 = 35", ["failed"]),
        ("50 / 200 * 100 = 25%", ["passed"]),
        ("3/4 of 20 = 15", ["passed"]),
        ("2 million × 1.15^5 ≈ 4.02 million", ["passed"]),
        ("2,000,000 × 1.15^5 = 2,000,000 × 2.011357 = 4,022,714", ["passed", "passed"]),
        ("10 / 3 = 3", ["passed"]),
        ("5 + 3 = 8 + 2 = 10", ["passed", "passed"]),
        ("3个苹果 × 2 = 7个苹果", ["failed"]),
        ("٣ × ٢ = ٧", ["failed"]),
        ("half of 10 + 3 = 8", []),
        ("3x² + 2 = 8", []),
        ("Total cost - 5 = 10", []),
        ("9:30 - 8 = 1", []),
        ("f(3) + 1 = 8", []),
        ("```python\n# 2 + 2 = 5\nassert 1 + 1 == 3\n```", []),
        ("```\n2 + 2 = 5\n```", []),
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


@pytest.mark.parametrize(
    ("text", "question", "corrected"),
    [
        ("37 * 91 + 4 = 3372", "", "37 * 91 + 4 = 3371"),
        ("5 * 3 = $16. Then 16 + 4 = 20.", "", "5 * 3 = $15. Then 15 + 4 = 19."),
        ("5 * 3 = 16, so she pays 16 dollars.\n\\boxed{16}", "", "5 * 3 = 15, so she pays 15 dollars.\n\\boxed{15}"),
        # 16 stands in the question: the one that follows may be that of the question
        ("5 * 3 = 16. 16 + 4 = 20.", "He has 16 coins.", "5 * 3 = 15. 16 + 4 = 20."),
        ("8 * 2 = 15 and 5 * 3 = 15, so 15 + 1 = 16", "", "8 * 2 = 16 and 5 * 3 = 15, so 15 + 1 = 16"),
        ("5 × 3 + 2 = 16 + 2 = 18", "", "5 × 3 + 2 = 17"),
        ("1.200,50 € * 2 = 2.400,00 €", "", "1.200,50 € * 2 = 2.401,00 €"),
        # 1,400 may be one and a bit
        ("3 * 500 = 1,400 in all", "", "3 * 500 = 1,400 in all"),
        ("3 * 4 = 14 eggs. She sells 14 eggs.", "", "3 * 4 = 12 eggs. She sells 12 eggs."),
        (
            "3 * 4 = 14. Delivery is on May 14, 2024 at 14:30; call 14-555; https://x.org/14/a",
            "",
            "3 * 4 = 12. Delivery is on May 14, 2024 at 14:30; call 14-555; https://x.org/14/a",
        ),
        ("2 * 2.5 = 6", "", "2 * 2.5 = 5"),
        ("10 / 4 = 3.5", "", "10 / 4 = 2.5"),
        ("٣ × ٢ = ٧", "", "٣ × ٢ = ٦"),
        ("1. 2 * 2 = 1\n2. Next", "", "1. 2 * 2 = 4\n2. Next"),
        ("2 + 2 = 4", "", "2 + 2 = 4"),
        ("20% * 50 = 11", "", "20% * 50 = 10"),
        ("10 / 50 = 25%", "", "10 / 50 = 20%"),
        ("2 million × 3 = 7 million", "", "2 million × 3 = 6 million"),
        ("5 * 3 = 16\n```python\nprint(16)\n```\n16", "", "5 * 3 = 15\n```python\nprint(16)\n```\n15"),
    ],
)
def test_a_wrong_result_and_what_follows_from_it_is_corrected(text: str, question: str, corrected: str) -> None:
    assert correct_arithmetic(text, question).text == corrected


async def test_an_answer_is_shown_with_its_corrections(make_desk: MakeDesk) -> None:
    wrong = "Each week: 4 * 7 = 27 eggs. In 3 weeks: 27 * 3 = 81 eggs."
    async with make_desk([wrong]) as desk:
        reply = await desk.ask("A hen lays 4 eggs a day. How many in 3 weeks?", role="math")
    assert reply.text == "Each week: 4 * 7 = 28 eggs. In 3 weeks: 28 * 3 = 84 eggs."
    assert reply.receipt.checks[0].outcome == "failed"
    assert "corrected: 4 * 7 = 27, but it is 28" in reply.receipt.notes


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (r"3 * 4 = 12, so \boxed{}", r"3 * 4 = 12, so \boxed{12}"),
        (r"3 * 4 = 13, so \boxed{\text{ eggs}}", r"3 * 4 = 12, so \boxed{12\text{ eggs}}"),
        (r"3 * 4 = 12, so \boxed{12}", r"3 * 4 = 12, so \boxed{12}"),
        (r"2 - 9 = -7. Therefore: \boxed{}", r"2 - 9 = -7. Therefore: \boxed{-7}"),
        (r"It has 5 unknowns and cannot be solved: \boxed{}", "It has 5 unknowns and cannot be solved:"),
        (r"3 + 2 = 5, yet it cannot be solved: \boxed{}", "3 + 2 = 5, yet it cannot be solved:"),
        (r"x = 3 or x = -4. \boxed{}", "x = 3 or x = -4."),
        (r"In LaTeX, \boxed{} draws a frame.", r"In LaTeX, \boxed{} draws a frame."),
    ],
)
async def test_an_empty_box_gets_the_last_result(make_desk: MakeDesk, said: str, shown: str) -> None:
    async with make_desk([said]) as desk:
        assert (await desk.ask("How many eggs do 3 hens lay in 4 days?", role="math")).text.strip() == shown


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Yes, that is enough. 5 * 3 = 16, and 16 > 15.", "5 * 3 = 15, and 15 > 15."),
        ("5 * 3 = 16.\n\n**No.** It is more.\nBye.", "5 * 3 = 15.\n\nBye."),
        ("Yes, since 5 * 3 = 16.", "Yes, since 5 * 3 = 15."),
        ("Yes, that is enough. 5 * 3 = 15.", "Yes, that is enough. 5 * 3 = 15."),
        ("Notes cost 5 * 3 = 16.", "Notes cost 5 * 3 = 15."),
    ],
)
async def test_a_verdict_from_a_wrong_number_does_not_stay(make_desk: MakeDesk, said: str, shown: str) -> None:
    async with make_desk([said]) as desk:
        assert (await desk.ask("Is 5 * 3 enough for a cost of that much?", role="math")).text == shown


async def test_a_german_verdict_is_known_too(make_desk: MakeDesk) -> None:
    async with make_desk(["Ja, das reicht für alle Gäste. Es sind 5 * 3 = 16 Stück."]) as desk:
        reply = await desk.ask("Reichen fünf Packungen mit je drei Stück für alle Gäste?", role="math")
    assert reply.text == "Es sind 5 * 3 = 15 Stück."


@pytest.mark.parametrize("language", [None, "en", "de", "es", "ru", "zh"])
def test_right_sums_stay_as_they_are(language: str | None) -> None:
    lines = Path(__file__).with_name("right_sums.txt").read_text("utf-8").splitlines()
    assert {line: correct_arithmetic(line, "", language).text for line in lines} == {line: line for line in lines}
    assert not [line for line in lines if any(one.outcome == "failed" for one in check_equations(line, language))]


def test_digits_are_grouped_as_the_language_does() -> None:
    assert correct_arithmetic("3 * 500 = 1,400 in all", "", "en").text == "3 * 500 = 1,500 in all"
    assert correct_arithmetic("1,500 + 500 = 2,100", "", "de").text == "1,500 + 500 = 2,100"
