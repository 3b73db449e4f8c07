"""What follows on each other without a choice, or on a choice that ends the turn, as one step of the graph.

A step, and a conditional edge too, reads and writes the whole state anew, which takes longer than most nodes do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Annotated, Any, Protocol, cast, get_origin, get_type_hints

from langgraph.graph import END
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


def both(first: Node, second: Node) -> Node:
    """Return two nodes as one; the second sees what the first has changed."""

    async def node(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
        changes = await first(state, runtime)
        return _together(changes, await second(_changed(state, changes), runtime))

    return node


def then(node: Node, decide: Decide, **last: Node) -> Step:
    """Return the node as one that says where to go from it, by what is known with its own changes.

    Args:
        node: what is done.
        decide: says where to go.
        last: nodes that end the turn, by the names that ``decide`` knows them by.
    """

    async def step(state: TurnState, *, runtime: Runtime[TurnContext]) -> Command[str]:
        changes = await node(state, runtime)
        known = _changed(state, changes)
        where = decide(known, runtime.context)
        if isinstance(where, str) and where in last:
            changes, where = _together(changes, await last[where](known, runtime)), END
        return Command(update=changes, goto=where)

    return step


def _changed(state: TurnState, changes: dict[str, Any]) -> TurnState:
    """Return the state as the graph will have it."""
    return cast(TurnState, _together(cast(dict[str, Any], state), changes))


def _together(before: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return both as one: some keys are added to, all others replaced."""
    both_have = before.keys() & changes.keys()
    grown = {key: add(before[key], changes[key]) for key, add in _adding().items() if key in both_have}
    return before | changes | grown


@cache
def _adding() -> dict[str, Callable[[Any, Any], Any]]:
    """Return how a change is added to what stands in the state, by key; all other keys are replaced."""
    hints = get_type_hints(TurnState, include_extras=True)
    return {key: hint.__metadata__[-1] for key, hint in hints.items() if get_origin(hint) is Annotated}
