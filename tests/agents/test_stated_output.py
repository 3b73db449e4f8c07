"""The output that an answer states for its own code."""

from collections.abc import AsyncIterator

import pytest

from qwendesk.agents.checks.stated_output import check_stated_output
from qwendesk.tools.sandbox import PythonSandbox
from tests.conftest import MakeDesk


def program(code: str, output: str, fence: str = "output", lead: str = "") -> str:
    return f"Let us run it.\n```python\n{code}\n```\n{lead}```{fence}\n{output}\n```\n"


@pytest.fixture
async def sandbox() -> AsyncIterator[PythonSandbox]:
    made = PythonSandbox()
    yield made
    await made.aclose()


@pytest.mark.parametrize(
    ("text", "outcomes"),
    [
        (program("print(48 * 3 / 4 + 48)", "144.0"), ["failed"]),
        (program("print(48 * 3 / 4 + 48)", "84.0"), ["passed"]),
        (program("print(10 / 3)", "3.33"), ["passed"]),
        (program("print([1, 2, 3])", "[1, 2, 4]", "", "Output:\n"), ["failed"]),
        (program("print(1)", "2", "", "Another one:\n"), []),
        (program("import sympy\nprint(1)", "2"), []),
        (program("import random\nprint(random.random())", "0.5"), []),
        (program("print('done')", "Done"), ["passed"]),
        (program("print({1, 2, 3})", "{3, 1, 2}"), ["passed"]),
        (program("x = 1", "1"), []),
        ("```python\nprint(1)\n```", []),
        ("```python\n" * 3000, []),
    ],
)
async def test_a_stated_output_is_compared_with_the_printed_one(
    text: str, outcomes: list[str], sandbox: PythonSandbox
) -> None:
    assert [check.outcome for check in await check_stated_output(text, sandbox)] == outcomes


async def test_an_invented_output_is_replaced_with_what_repeats_it(make_desk: MakeDesk) -> None:
    invented = program("print(48 * 3 / 4 + 48)", "144.0") + "Both weigh \\(\\boxed{144}\\) grains."
    async with make_desk([invented]) as desk:
        reply = await desk.ask("A coin weighs 48 grains, another 3/4 of it. Both?", role="math")
    assert "144" not in reply.text and "84.0\n" in reply.text and "\\boxed{84}" in reply.text


async def test_what_follows_an_output_that_cannot_be_told_apart_is_cut(make_desk: MakeDesk) -> None:
    invented = program("print({'s': 15, 'g': 5})", "{'s': 10, 'g': 10}") + "So there are \\boxed{10} sheep."
    async with make_desk([invented]) as desk:
        reply = await desk.ask("How many sheep and geese are there?", role="math")
    assert "10" not in reply.text and reply.text.endswith("Calculated: **{'s': 15, 'g': 5}**")


@pytest.mark.parametrize("prose", ["See chapter 5 and room 5.", "Python 3.12 is needed on May 5, 2024."])
async def test_other_numbers_of_the_text_stay(make_desk: MakeDesk, prose: str) -> None:
    async with make_desk([program("print(2 * 3)", "5") + prose]) as desk:
        reply = await desk.ask("What does it print?", role="math")
    assert reply.text == program("print(2 * 3)", "6") + prose
