"""The graph of one turn: perceive → route → answer ⇄ act → check → reply (a small model picks before it answers)."""

from __future__ import annotations

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from qwendesk.agents.context import TurnContext
from qwendesk.agents.nodes.act import act
from qwendesk.agents.nodes.answer import after_answer, answer
from qwendesk.agents.nodes.check import check
from qwendesk.agents.nodes.perceive import perceive
from qwendesk.agents.nodes.pick import after_pick, pick
from qwendesk.agents.nodes.reply import decline, reply
from qwendesk.agents.nodes.route import after_route, route
from qwendesk.agents.state import TurnInput, TurnState

TurnGraph = CompiledStateGraph[TurnState, TurnContext, TurnInput, TurnState]


def build_graph() -> TurnGraph:
    """Wire the nodes; what they work with comes as the run's ``TurnContext``.

    All of them are coroutines, the routers too: anything else would be run in a thread of its own.
    """
    graph = StateGraph(TurnState, context_schema=TurnContext, input_schema=TurnInput)
    graph.add_node(perceive)
    graph.add_node(route)
    graph.add_node(pick)
    graph.add_node(answer)
    graph.add_node(act)
    graph.add_node(check)
    graph.add_node(reply)
    graph.add_node(decline)
    graph.add_edge(START, "perceive")
    graph.add_edge("perceive", "route")
    graph.add_conditional_edges("route", after_route)
    graph.add_conditional_edges("pick", after_pick)
    graph.add_conditional_edges("answer", after_answer)
    graph.add_edge("act", "answer")
    graph.add_edge("check", "reply")
    graph.add_edge("reply", END)
    graph.add_edge("decline", END)
    return graph.compile()
