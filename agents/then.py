"""A node and the decision behind it as one step: a conditional edge reads the whole state anew, which costs as much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any, Protocol, cast, get_origin, get_type_hints

from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import TurnState

Node = Callable[[TurnState, Runtime[TurnContext]], Awaitable[dict[str, Any]]]
Decide = Callable[[TurnState, TurnContext], str | list[Send]]


class Step(Protocol):
    """A node that says where to go from it."""

    def __call__(self, state: TurnState, *, runtime: Runtime[TurnContext]) -> Awaitable[Command[str]]:
        """Return what changes, and where to go."""
        ...


def then(node: Node, decide: Decide) -> Step:
    """Return the node as one that says where to go from it, by what is known with its own changes."""

    async def step(state: TurnState, *, runtime: Runtime[TurnContext]) -> Command[str]:
        changes = await node(state, runtime)
        return Command(update=changes, goto=decide(_changed(state, changes), runtime.context))

    return step


def _changed(state: TurnState, changes: dict[str, Any]) -> TurnState:
    """Return the state as the graph will have it."""
    before = cast(dict[str, Any], state)
    grown = {key: add(before[key], changes[key]) for key, add in _adding().items() if key in changes and key in before}
    return cast(TurnState, before | changes | grown)


@cache
def _adding() -> dict[str, Callable[[Any, Any], Any]]:
    """Return how a change is added to what stands in the state, by key; all other keys are replaced."""
    hints = get_type_hints(TurnState, include_extras=True)
    return {key: hint.__metadata__[-1] for key, hint in hints.items() if get_origin(hint) is Annotated}
