"""Code that fails a check is sampled once more by the same model, where there is no stronger one."""

from pathlib import Path

import pytest

from qwendesk.agents.checks.code import CODE_RUNS, MEETS_EXAMPLES
from qwendesk.messages import AnswerReset, Finished, TextDelta
from qwendesk.models.card import ModelCard
from qwendesk.routing.policy.policy_file import POLICY_FILE
from tests.conftest import MakeDesk

QUESTION = "Write a Python function `double(n)`. For example, double(4) == 8."
RIGHT = "```python\ndef double(n):\n    return 2 * n\n```"
WRONG = "```python\ndef double(n):\n    return n + 2\n```"
BROKEN = "```python\ndef double(n):\n    return 2 * m\n\nprint(double(1))\n```"
SMALL = ModelCard("small", roles=("general", "coder"), parameters=4)
LARGE = ModelCard("large", roles=("general", "coder"), parameters=8)


@pytest.mark.parametrize(("first", "check"), [(WRONG, MEETS_EXAMPLES), (BROKEN, CODE_RUNS)])
async def test_another_sample_of_the_same_model_is_compared(make_desk: MakeDesk, first: str, check: str) -> None:
    async with make_desk([first, RIGHT], cards=(SMALL,), seed=5) as desk:
        events = [event async for event in desk.stream(QUESTION, role="coder")]
        calls = desk.script.calls
    assert isinstance(events[-1], Finished)
    reply = events[-1].reply
    assert reply.text == RIGHT
    assert [(made.name, made.outcome) for made in reply.receipt.checks] == [(MEETS_EXAMPLES, "passed")]
    assert reply.receipt.escalation.startswith(f"tried again with small: the check {check!r} failed")
    at = next(index for index, event in enumerate(events) if isinstance(event, AnswerReset))
    assert "".join(event.text for event in events[at:] if isinstance(event, TextDelta)) == RIGHT
    # the same question: only the sampling differs
    assert [message.text for message in calls[0][1]] == [message.text for message in calls[1][1]]
    assert calls[1][2].sampling.temperature > calls[0][2].sampling.temperature
    assert (calls[0][2].seed, calls[1][2].seed) == (5, 6)
    assert calls[1][2].max_tokens < calls[0][2].max_tokens


@pytest.mark.parametrize(("first", "second", "stands"), [(BROKEN, WRONG, WRONG), (WRONG, BROKEN, WRONG)])
async def test_of_two_that_fail_the_one_with_the_milder_fault_stands_with_its_mark(
    make_desk: MakeDesk, first: str, second: str, stands: str
) -> None:
    async with make_desk([first, second, RIGHT], cards=(SMALL,)) as desk:
        reply = await desk.ask(QUESTION, role="coder")
        assert len(desk.script.calls) == 2
    assert reply.text.startswith(stands) and "⚠" in reply.text
    assert [(made.name, made.outcome) for made in reply.receipt.checks] == [(MEETS_EXAMPLES, "failed")]
    assert any("this was the second try" in note for note in reply.receipt.notes)


@pytest.mark.parametrize("second", ["", "It doubles a number."])
async def test_a_second_sample_without_code_leaves_the_first_answer_with_its_mark(
    make_desk: MakeDesk, second: str
) -> None:
    async with make_desk([WRONG, second], cards=(SMALL,)) as desk:
        reply = await desk.ask(QUESTION, role="coder")
    assert reply.text.startswith(WRONG) and "⚠" in reply.text
    assert [(made.name, made.outcome) for made in reply.receipt.checks] == [(MEETS_EXAMPLES, "failed")]


async def test_a_stronger_model_comes_first_and_is_told_the_fault(make_desk: MakeDesk) -> None:
    async with make_desk(["Hello.", WRONG, RIGHT], cards=(SMALL, LARGE)) as desk:
        await desk.ask("Hello there", model="small")
        reply = await desk.ask(QUESTION)
        _, first, second = desk.script.calls
    assert (first[0], second[0], reply.receipt.model) == ("small", "large", "large")
    assert "expected 8" in second[1][-1].text
    assert second[2].sampling.temperature == first[2].sampling.temperature


async def test_code_without_a_fault_is_asked_for_once(make_desk: MakeDesk) -> None:
    async with make_desk([RIGHT, WRONG], cards=(SMALL,)) as desk:
        reply = await desk.ask(QUESTION, role="coder")
        assert len(desk.script.calls) == 1
    assert reply.receipt.escalation is None


async def test_code_is_not_sampled_again_where_checks_ask_for_no_second_try(
    make_desk: MakeDesk, own_home: Path
) -> None:
    (own_home / POLICY_FILE).write_text("[escalate]\nchecks = false\n", "utf-8")
    async with make_desk([WRONG, RIGHT], cards=(SMALL,)) as desk:
        reply = await desk.ask(QUESTION, role="coder")
    assert reply.text.startswith(WRONG)
