"""A running desk with operators hands over by itself: the customer is told once, and the ticket says why."""

from __future__ import annotations

import pytest

from tests.desk.tickets.conftest import Desks
from tests.desk.tickets.test_flow import add_operator, echo, newest


@pytest.mark.parametrize(
    ("text", "told"),
    [("I want to talk to a human, please", "a person"), ("Ich möchte mit einem Menschen sprechen", "Mensch")],
)
async def test_a_customer_asks_for_a_person_in_words(desks: Desks, text: str, told: str) -> None:
    async with desks(echo) as desk:
        await add_operator(desk)
        await desk.say(text)
        await desk.settle()
        assert (await newest(desk)).reason == "asked"
        assert len(desk.outlet.texts) == 1 and told in desk.outlet.texts[0]


async def test_the_same_question_three_times_goes_to_a_person(desks: Desks) -> None:
    async with desks(echo) as desk:
        await add_operator(desk)
        for _ in range(3):
            await desk.say("Where does my parcel from last Tuesday stay?")
            await desk.settle()
        assert (await newest(desk)).reason == "repeated"
        assert len(desk.outlet.texts) == 3 and desk.outlet.texts[2] not in desk.outlet.texts[:2]


async def test_a_promise_that_nothing_keeps_goes_to_a_person(desks: Desks) -> None:
    async with desks(lambda messages: "I have refunded your order.") as desk:
        await add_operator(desk)
        await desk.say("Please refund my order 4711.")
        await desk.settle()
        assert (await newest(desk)).reason == "promise"
        assert "refunded" not in " ".join(desk.outlet.texts)


async def test_reasons_can_be_switched_off(desks: Desks) -> None:
    async with desks(echo, handover={"asked": False}) as desk:
        await add_operator(desk)
        await desk.say("I want to talk to a human, please")
        await desk.settle()
        assert (await newest(desk)).state == "bot"


async def test_without_operators_the_bot_answers(desks: Desks) -> None:
    async with desks(echo) as desk:
        await desk.say("I want to talk to a human, please")
        await desk.settle()
        assert desk.outlet.texts == ["re I want to talk to a human, please"]
