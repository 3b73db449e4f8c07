"""A desk that is tried out: risky tools are not run, and nobody is told that something was done."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from qwendesk import risky
from qwendesk.desk.turns.receipt import explain
from qwendesk.tools.base import MOCK
from tests.agents.test_approval import CANCEL, QUESTION, SMALL, STATUS, Shop, shop
from tests.conftest import MakeDesk

__all__ = ["shop"]
NOT_DONE = "This was not done: the desk is being tried out, so actions have no effect."


@pytest.mark.parametrize("cards", [None, SMALL])
async def test_an_approved_call_is_told_and_not_made(
    make_desk: MakeDesk, shop: Shop, cards: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with make_desk([CANCEL, "I have cancelled it."], tools=shop.tools, cards=cards, dry_run_tools=True) as desk:
        assert (await desk.ask(QUESTION, conversation="c")).status == "needs_approval"
        reply = await desk.resume("c", approve=True)
    assert (reply.status, shop.cancelled) == ("held", [])
    assert f"{NOT_DONE} (would call cancel_order(number=4711))" in reply.text
    assert "I have cancelled" not in reply.text
    assert "dry run: would call cancel_order(number=4711)" in reply.receipt.notes
    assert "was not run:" in explain(reply.receipt.as_dict())
    assert "would call cancel_order(number=4711)" in caplog.text


async def test_a_customer_reads_that_nothing_was_done_but_not_the_call(make_desk: MakeDesk, shop: Shop) -> None:
    settings: dict[str, Any] = {"dry_run_tools": True, "approve_risky": "untrusted"}
    async with make_desk([CANCEL, "Ich habe sie storniert."], tools=shop.tools, **settings) as desk:
        reply = await desk.ask("Storniere bitte meine Bestellung 4711.", person="ann", channel="shop")
    assert (reply.status, shop.cancelled) == ("held", [])
    assert "Das wurde nicht ausgeführt" in reply.text
    assert "cancel_order" not in reply.text and "habe sie storniert" not in reply.text


async def test_a_declined_call_stays_declined(make_desk: MakeDesk, shop: Shop) -> None:
    async with make_desk([CANCEL, "Not cancelled."], tools=shop.tools, dry_run_tools=True) as desk:
        await desk.ask(QUESTION, conversation="c")
        reply = await desk.resume("c", approve=False)
    assert "because it was not approved" in reply.text and NOT_DONE not in reply.text


async def test_tools_without_an_effect_are_run(make_desk: MakeDesk, shop: Shop) -> None:
    made: list[str] = []

    async def refund(number: str) -> str:
        """Refund an order."""
        made.append(number)
        return "Refunded."

    mock = risky(refund)
    mock.metadata = {**(mock.metadata or {}), MOCK: True}
    call = CANCEL.replace("cancel_order", "refund")
    script = [STATUS, call, "Order 4711 was shipped, and is refunded."]
    async with make_desk(script, tools=[*shop.tools, mock], dry_run_tools=True) as desk:
        await desk.ask("Refund my order 4711.", conversation="c")
        reply = await desk.resume("c", approve=True)
    assert (shop.looked_up, made, reply.status) == (["4711"], ["4711"], "answered")
