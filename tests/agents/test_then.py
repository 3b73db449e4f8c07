"""Nodes that are one step of the graph change the state as if each were a step."""

from typing import Any

from langgraph.graph import END
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import TurnState
from qwendesk.agents.then import both, then

STATE: Any = {"notes": ["before"], "rounds": 0}
RUNTIME: Runtime[TurnContext] = Runtime()


async def first(state: TurnState, _: Runtime[TurnContext]) -> dict[str, Any]:
    return {"notes": ["first"], "rounds": state["rounds"] + 1, "text": "one"}


async def second(state: TurnState, _: Runtime[TurnContext]) -> dict[str, Any]:
    return {"notes": [f"seen: {', '.join(state['notes'])}"], "text": f"{state['text']}, two", "rounds": state["rounds"]}


async def test_the_second_of_two_sees_what_the_first_changed() -> None:
    changes = await both(first, second)(STATE, RUNTIME)
    assert changes == {"notes": ["first", "seen: before, first"], "rounds": 1, "text": "one, two"}


async def test_a_node_that_ends_the_turn_is_part_of_the_step() -> None:
    step = then(first, lambda state, context: "finish", finish=second)
    command = await step(STATE, runtime=RUNTIME)
    assert command.goto == END
    assert command.update == {"notes": ["first", "seen: before, first"], "rounds": 1, "text": "one, two"}


async def test_any_other_is_a_step_of_its_own() -> None:
    step = then(first, lambda state, context: "again" if state["notes"] == ["before", "first"] else "?", finish=second)
    command = await step(STATE, runtime=RUNTIME)
    assert command.goto == "again"
    assert command.update == {"notes": ["first"], "rounds": 1, "text": "one"}
