"""The dependencies and limits of one run of the graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from langgraph.graph.state import CompiledStateGraph

from qwendesk.agents.state import TurnInput, TurnState
from qwendesk.engines.pool import ModelPool
from qwendesk.messages import Event, Notice
from qwendesk.routing.base import Router
from qwendesk.routing.policy.policy_file import RoutingPolicy
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.toolbox import Toolbox


def _ignore(event: Event) -> None:
    """Drop the event."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """The typed dependencies of every node."""

    pool: ModelPool
    toolbox: Toolbox
    sandbox: PythonSandbox
    """Runs code that a model wrote, for checks."""
    router: Router
    slow_router: bool = False
    """Whether the router runs in a thread, so that it does not block the event loop."""
    own_tools: tuple[str, ...] = ()
    """Tools of the embedding program, offered to every role that has tools."""
    max_tool_rounds: int = 4
    """Maximum number of tool rounds in a turn."""
    thinking: Literal["auto", "on", "off"] = "auto"
    policy: RoutingPolicy = RoutingPolicy()
    """Routing policy of the user."""
    think_budget: int | None = None
    """Tokens after which thinking is closed; None: no limit."""
    prompts: Path | None = None
    """Folder whose templates override the built-in ones."""
    system_context: str | None = None
    """Text of the desk's operators for each system prompt."""
    seed: int | None = None
    """Seed of sampling, for repeatable answers."""
    emit: Callable[[Event], None] = _ignore
    """Receives the turn's events. It is called on the event loop, does not raise, and may be called after the turn:
    loading a model continues for other turns."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Report the progress of pulling or loading a model."""
        self.emit(Notice(text, fraction))


async def run_graph(
    graph: CompiledStateGraph[TurnState, TurnContext, Any, TurnState],
    begin: TurnInput | TurnState,
    context: TurnContext,
) -> TurnState:
    """Run a graph and return its final state; events go to ``context.emit`` while it runs."""
    return cast(TurnState, await graph.ainvoke(cast(Any, begin), context=context))
