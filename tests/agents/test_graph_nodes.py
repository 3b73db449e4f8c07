"""The compiled graph: its picture in the docs, the order of its nodes, and how their changes add up."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from qwendesk import Settings
from qwendesk.agents.graph import build_graph
from qwendesk.agents.nodes.review_calls import NO_TOOL
from qwendesk.agents.state import TurnContext, TurnInput, run_graph
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.messages import Attachment, Event, Inbound, TextDelta
from qwendesk.models.card import ModelCard
from qwendesk.routing.base import ConversationContext, Decision, Signals
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.toolbox import Toolbox
from qwendesk.wiring import build_pool
from tests.agents import graph_picture

LARGE = ModelCard(name="large", roles=("general", "coder", "math"), parameters=8, thinking="hybrid")
SMALL = ModelCard(name="small", roles=("general", "coder", "math"), parameters=1)
CALL = f"<tool_call>{json.dumps({'name': 'double', 'arguments': {'number': 21}})}</tool_call>"
NO_CALL = f"<tool_call>{json.dumps({'name': NO_TOOL, 'arguments': {}})}</tool_call>"
THREE = "Write a Python function that reverses a string. What is 37*91+4? Where is my order B-77?"


class Words:
    """Routes by a word that the text holds."""

    def route(self, signals: Signals) -> Decision:
        role = "coder" if "function" in signals.text else "math" if "*" in signals.text else "general"
        return Decision(role, 0.95)  # type: ignore[arg-type]  # one of three roles


async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@asynccontextmanager
async def context_of(script: list[str], card: ModelCard = LARGE) -> AsyncIterator[TurnContext]:
    pool = build_pool(Settings(engine="scripted"), {"scripted": ScriptedEngine(script, cards=(card,))})
    sandbox = PythonSandbox()
    async with Toolbox([double]) as toolbox:
        try:
            yield TurnContext(pool, toolbox, sandbox, Words(), own_tools=("double",))
        finally:
            await sandbox.aclose()
            await pool.aclose()


def turn(text: str, **inbound: Any) -> TurnInput:
    return {
        "inbound": Inbound(text, "c", **inbound),
        "history": [],
        "language": None,
        "conversation_context": ConversationContext(),
    }


async def path(begin: TurnInput, context: TurnContext) -> list[str]:
    """Return the names of the nodes in the order in which they ran."""
    updates = build_graph().astream(begin, context=context, stream_mode="updates")
    return [name async for update in updates for name in update]


def test_the_picture_in_the_docs_is_the_compiled_graph() -> None:
    assert graph_picture.in_page() == graph_picture.drawn(), "run 'make graph'"


def test_each_node_is_seen() -> None:
    nodes = set(build_graph().get_graph().nodes)
    assert nodes == {
        "__start__", "perceive", "route", "calculate", "answer", "review_calls", "tools", "check", "retry", "mend",
        "reply", "decline", "retrieve", "quote", "subquestion", "merge", "vote", "__end__",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("script", "card", "text", "nodes"),
    [
        (["Hello."], LARGE, "Hello", "perceive route answer check reply"),
        ([CALL, "It is 42."], LARGE, "Double 21", "perceive route answer review_calls tools answer check reply"),
        (["Hello."], SMALL, "Hello", "perceive route answer check reply"),
        ([CALL, "It is 42."], SMALL, "Double 21", "perceive route answer review_calls tools answer check reply"),
        (["2 * 3 = 5"], SMALL, "Hello", "perceive route answer check mend reply"),
        (["", "Hello."], LARGE, "Hello", "perceive route answer check retry answer check reply"),
    ],
)
async def test_the_nodes_run_in_order(script: list[str], card: ModelCard, text: str, nodes: str) -> None:
    async with context_of(script, card) as context:
        ran = await path(turn(text), context)
    assert ran == nodes.split()


async def test_a_message_that_no_model_can_serve_ends_declined() -> None:
    picture = Attachment("image", mime="image/png", data=b"\x89PNG")
    async with context_of(["never"]) as context:
        assert await path(turn("What is this?", attachments=(picture,)), context) == ["perceive", "route", "decline"]


async def test_several_questions_run_side_by_side_and_are_merged_in_their_order() -> None:
    shown: list[Event] = []
    async with context_of(["First.", "Second.", "Third."]) as context:
        ran = await path(turn(THREE), context)
    assert ran == ["perceive", "route", *["subquestion"] * 3, "merge"]
    async with context_of(["One.", "Two.", "Three."]) as context:
        state = await run_graph(build_graph(), turn(THREE), replace(context, emit=shown.append))
    assert [answer.role for answer in state["sub_answers"]] == ["coder", "math", "general"]
    assert "".join(event.text for event in shown if isinstance(event, TextDelta)) == state["text"]


async def test_changes_of_several_nodes_add_up_or_replace_each_other() -> None:
    async with context_of([CALL, CALL, "It is 42."]) as context:
        state = await run_graph(build_graph(), turn("Double 21", think=True), context)
    assert [use.result for use in state["tool_uses"]] == ["42", "42"]
    assert (state["tool_rounds"], len(state["messages"])) == (2, 6)
    assert state["usage"].tokens_out > 0 and state["usage"].first_at
    assert state["text"] == "It is 42."


async def test_a_second_try_counts_from_its_own_messages() -> None:
    async with context_of(["", "Hello."]) as context:
        state = await run_graph(build_graph(), turn("Hello"), context)
    assert (state["text"], state["think"]) == ("Hello.", True)
    assert state["escalation"] == "tried again with large, thinking: the answer was empty"
