"""Run a graph to its end."""

from __future__ import annotations

from typing import Any, cast

from langgraph.graph.state import CompiledStateGraph

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import TurnInput, TurnState


async def run_graph(
    graph: CompiledStateGraph[TurnState, TurnContext, Any, TurnState],
    begin: TurnInput | TurnState,
    context: TurnContext,
) -> TurnState:
    """Return what is known at the end; what happens on the way goes to ``context.tell``."""
    state: Any = begin
    # not ainvoke: that collects each node's changes as well
    async for values in graph.astream(begin, context=context, stream_mode="values"):
        state = values
    return cast(TurnState, state)
