"""Right translations of many generated messages in 14 languages are taken, and spoiled ones are not."""

import pytest
from benchmarks.translation import SPOILS, generated, scripted_outcomes

MESSAGES = generated()[::10]
REPAIRED = ("a token dropped", "a token twice", "tokens turned round", "another number")
"""The second try, without marks, is right."""


def test_the_messages_are_always_the_same() -> None:
    assert generated() == generated()
    assert len({(one.source, one.target) for one in generated()}) > 100


async def test_right_translations_are_taken() -> None:
    outcomes = await scripted_outcomes(SPOILS["nothing"], MESSAGES)
    assert [one.translation.reason for one in outcomes if one.translation.status != "done"] == []
    assert all(one.survives and one.is_in_language and not one.translation.doubts for one in outcomes)


@pytest.mark.parametrize("spoil", REPAIRED)
async def test_tokens_survive_what_a_second_try_mends(spoil: str) -> None:
    outcomes = await scripted_outcomes(SPOILS[spoil], MESSAGES)
    assert all(one.translation.status == "done" and one.survives for one in outcomes)


@pytest.mark.parametrize("spoil", [name for name in SPOILS if name not in ("nothing", "one word", *REPAIRED)])
async def test_spoiled_translations_are_refused(spoil: str) -> None:
    outcomes = await scripted_outcomes(SPOILS[spoil], MESSAGES)
    assert [one.translation.text for one in outcomes if one.translation.status == "done"] == []
