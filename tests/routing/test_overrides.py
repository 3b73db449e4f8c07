"""What a person asked for: virtual model names, and what the receipt keeps of a wish."""

from typing import Any

import pytest

from qwendesk.desk.turns.receipt import explain
from qwendesk.errors import QwendeskError
from qwendesk.messages import ROLES, Inbound, Notice, resolve_virtual_model
from tests.conftest import MakeDesk


@pytest.mark.parametrize("role", ROLES)
def test_a_virtual_model_is_a_wish_for_its_role(role: Any) -> None:
    assert resolve_virtual_model(None, f"qwen-{role}") == (role, None)
    assert resolve_virtual_model("math", f"Qwen-{role.title()} ") == ("math", None)


def test_auto_wishes_for_nothing_and_real_models_stay() -> None:
    assert resolve_virtual_model(None, "qwen-auto") == (None, None)
    assert resolve_virtual_model("coder", "qwen-auto") == ("coder", None)
    assert resolve_virtual_model(None, "qwen2.5-coder-0.5b") == (None, "qwen2.5-coder-0.5b")
    assert resolve_virtual_model("math", None) == ("math", None)


async def test_the_desk_takes_a_virtual_model_wherever_one_can_be_named(make_desk: MakeDesk) -> None:
    async with make_desk(["4"] * 4) as desk:
        coder = await desk.ask("Hello there", model="qwen-coder")
        auto = await desk.ask("Hello there", model="qwen-auto")
        events = [event async for event in desk.turns.run(Inbound("Hello there", "c", model="qwen-math"))]
        with pytest.raises(QwendeskError):
            await desk.ask("Hello there", model="qwen-poet")
    first, second = coder.receipt, auto.receipt
    assert (first.role, first.requested_role, first.requested_model) == ("coder", "coder", None)
    assert (second.role, second.requested_role, second.role_without_override) == ("general", None, None)
    assert events[-1].reply.receipt.role == "math"


async def test_the_receipt_keeps_the_wish_and_what_would_have_been(make_desk: MakeDesk) -> None:
    async with make_desk(["def f(): ..."] * 2) as desk:
        await desk.ask("Write a Python function that sorts a list", conversation="c", role="general")
        turn = await desk.last_turn("c")
        named = await desk.ask("Write a Python function that sorts a list", model="scripted:scripted-math")
    assert turn and turn.receipt
    assert (turn.receipt["requested_role"], turn.receipt["role_without_override"]) == ("general", "coder")
    assert (named.receipt.requested_role, named.receipt.requested_model) == (None, "scripted:scripted-math")


async def test_a_wish_for_eyes_or_ears_with_nothing_to_perceive_is_told(make_desk: MakeDesk) -> None:
    async with make_desk(["Hi."] * 4) as desk:
        events = [event async for event in desk.turns.run(Inbound("Hello there", "c", model="qwen-vision"))]
        audio = await desk.ask("Hello there", role="audio")
        met = await desk.ask("Hello there", role="coder")
        plain = await desk.ask("Hello there")
    note = "you asked for vision, but there is no picture; general answered"
    assert events[-1].reply.receipt.notes == (note,)
    assert Notice(f"Y{note[1:]}.", persistent=True) in events
    assert note in explain(events[-1].reply.receipt.as_dict())
    assert audio.receipt.notes == ("you asked for audio, but there is no recording; general answered",)
    assert met.receipt.notes == plain.receipt.notes == ()


async def test_a_wish_to_think_is_told_at_once_where_the_model_cannot(make_desk: MakeDesk) -> None:
    async with make_desk(["Hi."]) as desk:
        wish = Inbound("Hello there", "c", model="scripted:scripted-math", think=True)
        events = [event async for event in desk.turns.run(wish)]
    assert Notice("This model cannot think before it answers.", persistent=True) in events
