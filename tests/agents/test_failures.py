"""A tool that fails: the answer does not stand as if it had worked, the person is told, and a trace is left."""

import asyncio
import json
import logging
from typing import Any

import pytest
from langchain_core.tools import StructuredTool, ToolException

from qwendesk.agents.checks.tool_results import ADMITS_FAILURE, only_admits_failure, unresolved_failures
from qwendesk.desk.turns.receipt import explain
from qwendesk.errors import ToolError
from qwendesk.messages import Finished, TextDelta, ToolUse
from tests.conftest import MakeDesk


class OwnError(Exception):
    """An error that no library knows."""


async def open_gate(number: int) -> str:
    """Open a gate."""
    if number == 7:
        return "Gate 7 is open."
    raise OwnError(f"relay {number} does not answer")


def close_gate(number: int) -> str:
    """Close a gate, in a thread."""
    raise SystemExit(f"relay {number}")


async def lock_gate(number: int) -> str:
    """Lock a gate."""
    raise ToolError(f"Gate {number} has no lock.")


async def paint_gate(number: int) -> str:
    """Paint a gate, which is cancelled from within."""
    raise asyncio.CancelledError


def handled() -> StructuredTool:
    async def oil_gate(number: int) -> str:
        """Oil a gate."""
        raise ToolException(f"There is no oil for gate {number}.")

    return StructuredTool.from_function(coroutine=oil_gate, handle_tool_error=True)


GATES = [open_gate, close_gate, lock_gate, paint_gate, handled()]
ASKED = "Please see to gate 3 at once."


def call(name: str, **arguments: Any) -> str:
    return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("open_gate", ""),
        ("close_gate", ""),
        ("paint_gate", ""),
        ("lock_gate", ": Gate 3 has no lock"),
        ("oil_gate", ": There is no oil for gate 3"),
    ],
)
async def test_an_answer_that_claims_success_is_marked(make_desk: MakeDesk, name: str, reason: str) -> None:
    async with make_desk([call(name, number=3), "Done!"], tools=GATES) as desk:
        events = [event async for event in desk.stream(ASKED, role="general")]
    assert isinstance(events[-1], Finished)
    reply = events[-1].reply
    assert reply.text.startswith(f"Done!\n\n⚠ The step “{name}” failed{reason}. Please do not rely")
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == reply.text
    (use,) = reply.receipt.tools
    assert (use.name, use.ok) == (name, False)
    assert [(check.name, check.outcome) for check in reply.receipt.checks] == [(ADMITS_FAILURE, "failed")]
    assert "check failed: the model's answer stands as if a tool had worked that failed" in explain(
        reply.receipt.as_dict()
    )


async def test_the_person_is_told_in_their_language(make_desk: MakeDesk) -> None:
    async with make_desk([call("open_gate", number=3), "Erledigt!"], tools=GATES) as desk:
        reply = await desk.ask("Öffnen Sie bitte sofort das Tor Nummer drei für die Gäste.", role="general")
    assert "⚠ Der Schritt „open_gate“ ist fehlgeschlagen." in reply.text
    assert "OwnError" not in reply.text and "relay" not in reply.text


async def test_a_failure_is_logged_with_its_traceback(make_desk: MakeDesk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with make_desk([call("open_gate", number=3), "Done!"], tools=GATES) as desk:
            await desk.ask(ASKED, role="general")
    (record,) = [record for record in caplog.records if "'open_gate' failed" in record.getMessage()]
    assert record.levelno == logging.ERROR and record.exc_info and "OwnError" in caplog.text


async def test_a_failure_that_a_retry_makes_good_leaves_no_mark(make_desk: MakeDesk) -> None:
    script = [call("open_gate", number=3), call("open_gate", number=7), "Gate 7 is open."]
    async with make_desk(script, tools=GATES) as desk:
        reply = await desk.ask(ASKED, role="general")
    assert reply.text == "Gate 7 is open."
    assert [use.ok for use in reply.receipt.tools] == [False, True]


async def test_a_success_beside_a_failure_is_no_retry(make_desk: MakeDesk) -> None:
    both = call("open_gate", number=3) + call("open_gate", number=7)
    async with make_desk([both, "Both are open."], tools=GATES) as desk:
        reply = await desk.ask(ASKED, role="general")
    assert "The step “open_gate” failed" in reply.text


async def test_without_an_answer_the_failure_is_the_answer(make_desk: MakeDesk) -> None:
    async with make_desk([call("lock_gate", number=3), ""], tools=GATES) as desk:
        reply = await desk.ask(ASKED, role="general")
    assert reply.text.startswith("⚠ The step “lock_gate” failed: Gate 3 has no lock.")


@pytest.mark.parametrize(
    "text",
    ['<tool_call>{"name": "open_gate", "arguments": "soon"}</tool_call>'.replace('"soon"', "[3, 4]"),
     call("open_door", number=3), call("open_gate", number="soon"), call("open_gate")],
    ids=["unreadable", "unknown name", "wrong type", "missing"],
)  # fmt: skip
async def test_a_call_that_cannot_be_made_leaves_a_trace(make_desk: MakeDesk, text: str) -> None:
    async with make_desk([text, "Done!"], tools=GATES) as desk:
        reply = await desk.ask(ASKED, role="general")
    (use,) = reply.receipt.tools
    assert not use.ok and use.result.startswith("Error: ") and use.name in reply.text
    assert f"`{use.name}(" in explain(reply.receipt.as_dict())


@pytest.mark.parametrize("said", ["", "I open it. "])
async def test_a_call_that_is_unreadable_as_a_whole_leaves_a_trace_and_is_not_shown(
    make_desk: MakeDesk, said: str
) -> None:
    async with make_desk([f"{said}<tool_call>the gate, please</tool_call>", "Done!"], tools=GATES) as desk:
        events = [event async for event in desk.stream(ASKED, role="general")]
        asked_again = desk.script.calls[1][1]
    assert isinstance(events[-1], Finished)
    reply = events[-1].reply
    streamed = "".join(event.text for event in events if isinstance(event, TextDelta))
    assert "tool_call" not in reply.text + streamed and "the gate, please" not in reply.text + streamed
    (use,) = reply.receipt.tools
    assert (use.ok, "the gate, please" in str(use.arguments)) == (False, True)
    assert "the gate, please" in explain(reply.receipt.as_dict()) and "failed" in reply.text
    assert "arguments are not valid JSON" in asked_again[-1].text


async def test_calls_beyond_the_rounds_are_noted(make_desk: MakeDesk) -> None:
    script = [call("open_gate", number=7), call("lock_gate", number=7) + "<tool_call>more</tool_call>"]
    async with make_desk(script, tools=GATES, max_tool_rounds=1) as desk:
        reply = await desk.ask(ASKED, role="general")
    assert reply.text == "Gate 7 is open." and [use.name for use in reply.receipt.tools] == ["open_gate"]
    (note,) = [note for note in reply.receipt.notes if "were not made" in note]
    assert "lock_gate, unknown" in note and "QWENDESK_MAX_TOOL_ROUNDS" in note
    assert note in explain(reply.receipt.as_dict())


@pytest.mark.parametrize(
    ("text", "admitted"),
    [("Sorry.", True), ("Das hat nicht geklappt.", True), ("抱歉。", True), ("", True),
     ("I'm sorry, but I cannot do it.", True),
     ("Done.", False), ("Sorry for the wait, it is open.", False), ("Sorry. It is open now.", False)],
)  # fmt: skip
def test_only_an_answer_that_says_no_more_than_that_needs_no_mark(text: str, admitted: bool) -> None:
    assert only_admits_failure(text) is admitted


def test_each_failure_needs_a_success_of_its_own() -> None:
    def use(name: str, ok: bool, number: int) -> ToolUse:
        return ToolUse(name, {}, ok, "", 0.0, round=number)

    two = [use("open_gate", False, 1), use("open_gate", False, 1), use("open_gate", True, 2)]
    assert unresolved_failures(two, ["open_gate"]) and not unresolved_failures(
        [*two, use("open_gate", True, 3)], ["open_gate"]
    )
    assert not unresolved_failures([use("python", False, 1), use("algebra", True, 2)], ["python", "algebra"])
    assert not unresolved_failures([use("opengate", False, 1), use("open_gate", True, 2)], ["open_gate"])
    assert unresolved_failures([use("open_gate", False, 1), use("clock", True, 2)], ["open_gate", "clock"])
