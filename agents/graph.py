"""The graph of one turn: perceive, route → answer ⇄ act → check, reply.

A small model picks a tool before it answers; an answer that fails is tried again, once; several questions in one
message are parts that go this way side by side, and are merged.
"""

from __future__ import annotations

from typing import Any

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from qwendesk.agents.context import TurnContext
from qwendesk.agents.nodes.act import act
from qwendesk.agents.nodes.again import after_again, again
from qwendesk.agents.nodes.answer import after_answer, answer
from qwendesk.agents.nodes.check import after_check, check
from qwendesk.agents.nodes.part import PartState, merge, part_node
from qwendesk.agents.nodes.perceive import perceive
from qwendesk.agents.nodes.pick import after_pick, pick
from qwendesk.agents.nodes.reply import decline, reply
from qwendesk.agents.nodes.route import DESTINATIONS, after_route, route, route_part
from qwendesk.agents.state import TurnInput, TurnState
from qwendesk.agents.then import both, then

TurnGraph = CompiledStateGraph[TurnState, TurnContext, TurnInput, TurnState]


def build_graph() -> TurnGraph:
    """Wire the nodes; what they work with comes as the run's ``TurnContext``.

    All of them are coroutines: anything else would be run in a thread of its own.
    """
    graph = StateGraph(TurnState, context_schema=TurnContext, input_schema=TurnInput)
    graph.add_node("route", then(both(perceive, route), after_route, decline=decline), destinations=DESTINATIONS)
    graph.add_node("part", part_node(_part_graph()), input_schema=PartState)
    graph.add_node(merge)
    graph.add_edge(START, "route")
    graph.add_edge("part", "merge")
    graph.add_edge("merge", END)
    _add_answering(graph)
    return graph.compile()


def _part_graph() -> CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]:
    """Wire the graph that answers one question of a message that holds several."""
    graph = StateGraph(TurnState, context_schema=TurnContext)
    graph.add_node("route", then(route_part, after_route, decline=decline), destinations=DESTINATIONS[:-1])
    graph.add_edge(START, "route")
    _add_answering(graph)
    return graph.compile()


def _add_answering(graph: StateGraph[TurnState, TurnContext, Any, Any]) -> None:
    """Add all that comes behind the route."""
    graph.add_node(act)
    graph.add_node("pick", then(pick, after_pick), destinations=("act", "answer"))
    graph.add_node("answer", then(answer, after_answer), destinations=("act", "check"))
    graph.add_edge("act", "answer")
    graph.add_node("check", then(check, after_check, reply=reply), destinations=("again", END))
    graph.add_node("again", then(again, after_again, reply=reply), destinations=("answer", END))
