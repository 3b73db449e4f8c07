"""The graph of one turn, on the scripted engine."""

import asyncio
import json
from typing import Any

import pytest
from PIL import Image

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import ConfigError, EngineError, EngineTimeout, InputError
from qwendesk.messages import Finished, Routed, TextDelta, ThinkingDelta, ToolFinished, ToolStarted
from qwendesk.models.card import ModelCard
from qwendesk.routing.base import Decision, Signals
from tests.conftest import MakeDesk

PLAIN = (ModelCard(name="only", roles=("general",), parameters=7),)


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


def picture(tmp_path: Any) -> str:
    file = tmp_path / "chart.png"
    Image.new("RGB", (8, 8), "red").save(file)
    return str(file)


async def test_a_tool_call_is_run_and_its_result_goes_back_to_the_model(make_desk: MakeDesk) -> None:
    async with make_desk([call("python", code="37*91+4"), "It is 3371."]) as desk:
        reply = await desk.ask("What is 37*91+4?")
    assert reply.text == "It is 3371."
    assert [(use.name, use.ok, use.result) for use in reply.receipt.tools] == [("python", True, "3371")]
    second = desk.script.calls[1][1]
    assert second[-1].text == "3371"


@pytest.mark.parametrize("role", ["general", "coder"])
async def test_every_role_is_told_whose_desk_it_is(make_desk: MakeDesk, role: Any) -> None:
    async with make_desk(["At nine."], system_context="You answer for Corner Shop, which sells {{ tea }}.") as desk:
        await desk.ask("When do you open?", role=role)
    system = desk.script.calls[0][1][0].text
    assert system.startswith("You are Qwendesk") and "You answer for Corner Shop, which sells {{ tea }}." in system


async def test_events_come_in_order(make_desk: MakeDesk) -> None:
    async with make_desk(["<think>Hm.</think>" + call("clock"), "Done."]) as desk:
        events = [event async for event in desk.stream("What day is it?", role="thinking")]
    kinds = [type(event) for event in events]
    assert kinds == [Routed, ThinkingDelta, ToolStarted, ToolFinished, TextDelta, Finished]


async def test_an_unknown_tool_is_told_to_the_model(make_desk: MakeDesk) -> None:
    async with make_desk([call("pyton", code="1"), "Sorry."]) as desk:
        reply = await desk.ask("What is 1+1?")
    assert not reply.receipt.tools[0].ok
    assert "python" in desk.script.calls[1][1][-1].text


async def test_the_same_call_three_times_ends_the_loop(make_desk: MakeDesk) -> None:
    async with make_desk([call("python", code="1")] * 3 + ["It is 1."], max_tool_rounds=9) as desk:
        reply = await desk.ask("What is 1 + 0?")
    assert reply.text == "It is 1."
    assert len(reply.receipt.tools) == 2
    assert len(desk.script.calls) == 4


async def test_tool_rounds_are_limited_and_the_last_result_speaks(make_desk: MakeDesk) -> None:
    async with make_desk([call("python", code=f"{n}") for n in range(9)], max_tool_rounds=2) as desk:
        reply = await desk.ask("What is 1 + 0?")
    assert len(reply.receipt.tools) == 2
    assert reply.text == "1"
    assert "the model itself gave no text" in reply.receipt.notes


async def test_own_tools_are_offered_beside_the_installed_ones(make_desk: MakeDesk) -> None:
    async def order_status(number: str) -> str:
        """Look up an order."""
        return f"{number} is on its way"

    script = [call("order_status", number="B-77"), "In viaggio."]
    async with make_desk(script, tools=[order_status]) as desk:
        reply = await desk.ask("Dove si trova il mio ordine B-77?")
    assert reply.receipt.tools[0].result == "B-77 is on its way"
    assert reply.receipt.language == "it"


async def test_a_picture_goes_to_the_model_that_sees(make_desk: MakeDesk, tmp_path: Any) -> None:
    async with make_desk(["A red square."]) as desk:
        reply = await desk.ask("What is this?", images=[picture(tmp_path)])
    assert (reply.receipt.role, reply.receipt.model) == ("vision", "scripted-vision")
    content = desk.script.calls[0][1][-1].content
    assert content[0]["image_url"]["url"].startswith("data:image/png;base64,")


async def test_a_picture_without_a_model_that_sees_is_declined_plainly(make_desk: MakeDesk, tmp_path: Any) -> None:
    async with make_desk(["must not be asked"], cards=PLAIN) as desk:
        reply = await desk.ask("What is this?", images=[picture(tmp_path)])
    assert "cannot see" in reply.text
    assert reply.receipt.model == "" and reply.receipt.role == "vision"
    assert desk.script.calls == []


async def test_a_missing_role_is_replaced_and_the_receipt_says_so(make_desk: MakeDesk) -> None:
    async with make_desk(["42"], cards=PLAIN) as desk:
        reply = await desk.ask("Calculate the integral of 2x")
    assert (reply.receipt.role, reply.receipt.model) == ("math", "only")
    assert reply.receipt.fallback == "no model for math is installed; only answers instead"


async def test_code_is_run_and_the_outcome_is_on_the_receipt(make_desk: MakeDesk) -> None:
    good, bad = "```python\nprint(6*7)\n```", "```python\nprint(1/0)\n```"
    right = "```python\ndef double(x):\n    return 2 * x\n```"
    async with make_desk([good, bad, bad, "no code", right]) as desk:
        checks = [(await desk.ask("Write a Python function")).receipt.checks for _ in range(3)]
        compared = (await desk.ask("Write a Python function double, where double(21) == 42")).receipt.checks
    assert checks[0][0].outcome == "skipped" and "42" in checks[0][0].detail
    assert checks[1][0].outcome == "failed" and "ZeroDivisionError" in checks[1][0].detail
    assert checks[2] == ()
    assert compared[0].outcome == "passed" and "42" in compared[0].detail


async def test_a_calculated_result_that_the_model_does_not_state_is_added(make_desk: MakeDesk) -> None:
    async with make_desk([call("python", code="37*91+4"), "It is a large number."]) as desk:
        reply = await desk.ask("What is 37*91+4?")
    assert reply.text == "It is a large number.\n\nCalculated: **3371**"
    assert reply.receipt.checks[0].outcome == "failed"


async def test_wrong_arithmetic_is_found(make_desk: MakeDesk) -> None:
    async with make_desk(["37 * 91 + 4 = 3372", "So \\(37 \\times 91 + 4 = 3371\\)."]) as desk:
        wrong = await desk.ask("What is 37*91+4?")
        right = await desk.ask("What is 37*91+4?")
    assert wrong.receipt.checks[0].outcome == "failed" and "3371" in wrong.receipt.checks[0].detail
    assert right.receipt.checks[0].outcome == "passed"


async def test_a_second_turn_is_given_the_first(make_desk: MakeDesk) -> None:
    async with make_desk(["Hello Ada.", "Ada."]) as desk:
        await desk.ask("My name is Ada.", conversation="c")
        await desk.ask("What is my name?", conversation="c")
    texts = [message.text for message in desk.script.calls[1][1]]
    assert texts[1:] == ["My name is Ada.", "Hello Ada.", "What is my name?"]


async def test_thinking_is_streamed_apart_and_never_goes_back(make_desk: MakeDesk) -> None:
    async with make_desk(["<think>A secret.</think>Hello.", "Bye."]) as desk:
        first = await desk.ask("Hello", conversation="c", role="thinking")
        await desk.ask("And now?", conversation="c")
    assert (first.text, first.thinking, first.receipt.thinking) == ("Hello.", "A secret.", True)
    assert all("secret" not in message.text for message in desk.script.calls[1][1])


@pytest.mark.parametrize(("wish", "expected"), [(True, True), (False, False), (None, True)])
async def test_the_person_decides_on_thinking(make_desk: MakeDesk, wish: bool | None, expected: bool) -> None:
    async with make_desk(["Hello."]) as desk:
        reply = await desk.ask("Hello", role="thinking", think=wish)
    assert reply.receipt.thinking is expected
    assert desk.script.calls[0][2].think is expected


async def test_a_model_that_cannot_think_says_so(make_desk: MakeDesk) -> None:
    async with make_desk(["Hello."]) as desk:
        reply = await desk.ask("Hello", role="general", think=True)
    assert not reply.receipt.thinking
    assert reply.receipt.notes == ("this model cannot think before it answers",)


async def test_a_failed_turn_keeps_the_question_and_the_next_one_works(make_desk: MakeDesk) -> None:
    async with make_desk([EngineError("out of order"), "Here again."]) as desk:
        with pytest.raises(EngineError, match="out of order"):
            await desk.ask("First", conversation="c")
        assert (await desk.last_turn("c")).status == "failed"
        assert (await desk.ask("Second", conversation="c")).text == "Here again."
    assert [m.text for m in desk.script.calls[1][1]][1:] == ["First", "Second"]


async def test_leaving_early_stops_the_answer_and_keeps_what_was_said(make_desk: MakeDesk) -> None:
    async with make_desk(["one two three four"]) as desk:
        stream = desk.stream("Count", conversation="c")
        async for event in stream:
            if isinstance(event, TextDelta):
                break
        await stream.aclose()
        turn = await desk.last_turn("c")
        history = await desk.memory.history.messages("c")
    assert turn.status == "stopped"
    assert history[-1].role == "assistant"
    assert "one two three four".startswith(history[-1].text)


async def test_a_turn_that_takes_too_long_is_given_up(make_desk: MakeDesk) -> None:
    async def never(messages: Any) -> str:
        await asyncio.Event().wait()
        return ""

    desk = make_desk(never, turn_timeout=0.05)
    async with desk:
        with pytest.raises(EngineTimeout, match="QWENDESK_TURN_TIMEOUT"):
            await desk.ask("Hello", conversation="c")
        assert (await desk.last_turn("c")).status == "failed"


async def test_turns_of_one_conversation_wait_for_each_other(make_desk: MakeDesk) -> None:
    async with make_desk(lambda messages: f"{len(messages)}") as desk:
        replies = await asyncio.gather(*(desk.ask(f"Message {n}", conversation="c") for n in range(4)))
    assert sorted(reply.text for reply in replies) == ["2", "4", "6", "8"]


@pytest.mark.parametrize("text", ["", "   ", "x" * 1_000_000])
async def test_messages_beyond_the_limits_are_refused(make_desk: MakeDesk, text: str) -> None:
    async with make_desk(["never"]) as desk:
        with pytest.raises(InputError):
            await desk.ask(text)
    assert desk.script.calls == []


async def test_control_characters_pass_through(make_desk: MakeDesk) -> None:
    async with make_desk(["ok", "ok"]) as desk:
        await desk.ask("a\x00b\x1b[31m\x07", conversation="c")
        await desk.ask("\ud800 lone surrogate", conversation="c")
    assert "\x1b[31m" in desk.script.calls[0][1][-1].text


@pytest.mark.parametrize("data", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n" + b"0" * 50])
async def test_an_unreadable_picture_is_refused(make_desk: MakeDesk, data: bytes) -> None:
    async with make_desk(["never"]) as desk:
        with pytest.raises(InputError):
            await desk.ask("What is this?", images=[data])


async def test_an_unknown_role_or_model_is_refused(make_desk: MakeDesk) -> None:
    async with make_desk(["never"]) as desk:
        with pytest.raises(ConfigError, match="no role 'poet'"):
            await desk.ask("Hello", role="poet")
        with pytest.raises(EngineError, match="no model 'poet'"):
            await desk.ask("Hello", model="poet")


async def test_a_closed_desk_says_how_to_open_it(make_desk: MakeDesk) -> None:
    with pytest.raises(ConfigError, match="async with"):
        await make_desk([]).ask("Hello")


async def test_what_is_said_before_a_call_is_kept(make_desk: MakeDesk) -> None:
    async with make_desk(["Let me compute that. " + call("python", code="6*7"), "It is 42."]) as desk:
        events = [event async for event in desk.stream("What is 6*7?", conversation="c")]
        stored = (await desk.memory.history.messages("c"))[-1].text
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert stored == events[-1].reply.text == "Let me compute that.\n\nIt is 42."
    assert streamed.split() == stored.split()


async def test_unreadable_calls_go_back_to_the_model(make_desk: MakeDesk) -> None:
    bad = '<tool_call>{"name": "python", "arguments": [}</tool_call>'
    async with make_desk([bad, "Sorry."]) as desk:
        reply = await desk.ask("What is 6*7?")
    assert reply.text == "Sorry."
    assert "Error" in desk.script.calls[1][1][-1].text


async def test_a_role_whose_model_is_gone_is_stood_in_for() -> None:
    engine = ScriptedEngine(["Hello."], cards=PLAIN)
    engine.name, engine.uses_store = "llamacpp", True
    settings = Settings(roles={"coder": "qwen2.5-coder-7b"})
    async with Desk(settings, engines={"llamacpp": engine}) as desk:
        reply = await desk.ask("Hello", role="coder")
        with pytest.raises(EngineError):
            await desk.ask("Hello", model="qwen2.5-coder-7b")
    assert reply.receipt.fallback == "qwen2.5-coder-7b is not here; only answers instead"


async def test_eyes_are_not_asked_for_without_a_picture(make_desk: MakeDesk) -> None:
    async with make_desk(["Hello."], cards=PLAIN) as desk:
        reply = await desk.ask("Hello", role="vision")
    assert (reply.text, reply.receipt.role) == ("Hello.", "general")


async def test_a_model_that_cannot_see_is_not_sent_a_picture(make_desk: MakeDesk, tmp_path: Any) -> None:
    async with make_desk(["never"]) as desk:
        reply = await desk.ask("What is this?", images=[picture(tmp_path)], model="scripted-coder")
    assert "cannot see" in reply.text and desk.script.calls == []


async def test_closing_the_desk_stops_its_turns(make_desk: MakeDesk) -> None:
    asked = asyncio.Event()

    async def never(messages: Any) -> str:
        asked.set()
        await asyncio.Event().wait()
        return ""

    async with make_desk(never) as desk:
        waiting = asyncio.create_task(desk.ask("Hello"))
        await asked.wait()
    with pytest.raises(EngineError, match="closed"):
        await waiting


async def test_a_special_file_is_no_picture(make_desk: MakeDesk) -> None:
    async with make_desk(["never"]) as desk:
        with pytest.raises(InputError, match="not a file"):
            await desk.ask("What is this?", images=["/dev/zero"])


@pytest.mark.parametrize(("needs", "expected"), [(0.9, True), (0.1, False)])
async def test_a_hard_message_is_thought_about_whatever_its_role(needs: float, expected: bool) -> None:
    class Fixed:
        def route(self, signals: Signals) -> Decision:
            return Decision("math", 0.9, needs_thinking=needs)

    cards = (ModelCard(name="only", roles=("math",), parameters=7, thinking="hybrid"),)
    engine = ScriptedEngine(["Hello."], cards=cards)
    async with Desk(Settings(engine="scripted"), engines={"scripted": engine}, router=Fixed()) as desk:
        assert (await desk.ask("Hello")).receipt.thinking is expected
