"""Let a small model pick one tool, or none, under a grammar: what it writes is always a call that can be run."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolCall
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.experts import expert_for
from qwendesk.agents.nodes.answer import Collected, chosen, prompt
from qwendesk.agents.offers import NO_TOOL, offered, suggest
from qwendesk.agents.state import TurnState
from qwendesk.tools.expressions import separated_expression

_EXACT = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 300}
"""A call is copied from the question more than it is invented."""


async def pick(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Ask for one call; where no tool fits the message, nothing is asked."""
    context, expert = runtime.context, expert_for(state["decision"].role)
    tools, text = offered(expert, context), state["inbound"].text
    expression = separated_expression(text)
    if expression and any(tool["function"]["name"] == "algebra" for tool in tools):
        return {"messages": [_evaluate(expression)]}
    suggestion = suggest(tools, text)
    if not suggestion:
        return {"messages": []}
    answering = context.pool.answering(chosen(state), context.progress)
    collected = Collected()
    settings: dict[str, Any] = {"tools": suggestion.tools, "json_schema": suggestion.grammar, **_EXACT}
    async with aclosing(answering.stream(prompt(state, "pick", context), think=False, **settings)) as chunks:
        async for chunk in chunks:
            collected.add(chunk)
    tally = replace(collected.tally(), first_at=None)
    return {"messages": _calls(collected.message()), "tally": tally, "choice": answering.choice}


def _evaluate(expression: str) -> AIMessage:
    """Call algebra with an expression as the person wrote it; a small model would split its numbers."""
    call = ToolCall(name="algebra", args={"operation": "evaluate", "expression": expression}, id=f"call_{uuid4().hex}")
    return AIMessage("", tool_calls=[call])


def after_pick(state: TurnState, context: TurnContext) -> Literal["act", "answer"]:
    """Run the tool where one was picked."""
    last = state["messages"][-1]
    return "act" if isinstance(last, AIMessage) and last.tool_calls else "answer"


def _calls(message: AIMessage) -> list[AIMessage]:
    calls = [call for call in message.tool_calls if call["name"] != NO_TOOL][:1]
    return [AIMessage("", tool_calls=calls)] if calls else []
