"""The graph of one turn.

Documents are searched before the model is asked, and decide the answer of a small one. The calls of an answer are
reviewed before they are run. An answer that fails its checks is retried once; sums that are still wrong are corrected.
Each of several questions in one message runs a subgraph; ``merge`` joins their answers.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from qwendesk.agents.nodes.answer import after_answer, answer
from qwendesk.agents.nodes.calculate import after_calculate, calculate
from qwendesk.agents.nodes.check import after_check, after_retry, after_vote, check, retry
from qwendesk.agents.nodes.mend import mend
from qwendesk.agents.nodes.reply import decline, reply
from qwendesk.agents.nodes.retrieve import after_retrieve, quote, retrieve
from qwendesk.agents.nodes.review_calls import after_review, review_calls
from qwendesk.agents.nodes.route import after_route, perceive, route, route_subquestion
from qwendesk.agents.nodes.subquestion import SubquestionInput, merge, subquestion_node
from qwendesk.agents.nodes.tools import after_tools, tools
from qwendesk.agents.nodes.vote import vote
from qwendesk.agents.state import TurnContext, TurnInput, TurnState

TurnGraph = CompiledStateGraph[TurnState, TurnContext, TurnInput, TurnState]
_AFTER_ROUTE = ["decline", "retrieve", "calculate", "answer"]


@cache
def build_graph() -> TurnGraph:
    """Compile the graph of a turn, once for all desks; its dependencies come with each run as a ``TurnContext``."""
    return _turn_graph().compile()


def build_interruptible_graph(saver: BaseCheckpointSaver[str]) -> TurnGraph:
    """Compile the graph of a turn that stops before risky calls, with the saver of its state."""
    return _turn_graph().compile(checkpointer=saver)


def _turn_graph() -> StateGraph[TurnState, TurnContext, TurnInput, TurnState]:
    """Build the graph.

    Nodes and conditions are coroutines because LangGraph runs plain functions in threads.
    """
    graph = StateGraph(TurnState, context_schema=TurnContext, input_schema=TurnInput)
    graph.add_node(perceive)
    graph.add_node(route)
    graph.add_node("subquestion", subquestion_node(_subquestion_graph()), input_schema=SubquestionInput)
    graph.add_node(merge)
    graph.add_edge(START, "perceive")
    graph.add_edge("perceive", "route")
    graph.add_conditional_edges("route", after_route, [*_AFTER_ROUTE, "subquestion"])
    graph.add_edge("subquestion", "merge")
    graph.add_edge("merge", END)
    _add_answer_nodes(graph)
    return graph


def _subquestion_graph() -> CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]:
    """Compile the graph that answers one question of several; the question's role is already decided."""
    graph = StateGraph(TurnState, context_schema=TurnContext)
    graph.add_node("route", route_subquestion)
    graph.add_edge(START, "route")
    graph.add_conditional_edges("route", after_route, _AFTER_ROUTE)
    _add_answer_nodes(graph)
    return graph.compile()


def _add_answer_nodes(graph: StateGraph[TurnState, TurnContext, Any, Any]) -> None:
    """Add the nodes behind ``route``, which both graphs have."""
    graph.add_node(decline)
    graph.add_node(retrieve)
    graph.add_node(quote)
    graph.add_node(calculate)
    graph.add_node(answer)
    graph.add_node(review_calls)
    graph.add_node(tools)
    graph.add_node(check)
    graph.add_node(retry)
    graph.add_node(vote)
    graph.add_node(mend)
    graph.add_node(reply)
    graph.add_conditional_edges("retrieve", after_retrieve)
    graph.add_edge("quote", END)
    graph.add_conditional_edges("calculate", after_calculate)
    graph.add_conditional_edges("answer", after_answer)
    graph.add_conditional_edges("review_calls", after_review)
    graph.add_conditional_edges("tools", after_tools)
    graph.add_conditional_edges("check", after_check)
    graph.add_conditional_edges("retry", after_retry)
    graph.add_conditional_edges("vote", after_vote)
    graph.add_edge("mend", "reply")
    graph.add_edge("reply", END)
    graph.add_edge("decline", END)
