"""A node and the decision behind it as one step: a conditional edge reads the whole state anew, which costs as much."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from langgraph.runtime import Runtime
from langgraph.types import Command, Send

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import TurnState

Node = Callable[[TurnState, Runtime[TurnContext]], Awaitable[dict[str, Any]]]
Decide = Callable[[TurnState, TurnContext], str | list[Send]]
_GROWING = ("messages", "tools", "notes")
"""What a node adds to; all else it replaces."""


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
    before = cast(dict[str, Any], state)
    grown = {key: [*before.get(key, ()), *changes.get(key, ())] for key in _GROWING}
    return cast(TurnState, before | changes | grown)
