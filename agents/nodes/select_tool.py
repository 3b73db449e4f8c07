"""Let a small model select one tool, or none, under a grammar, so that each call it writes can be run."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolCall
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.model_call import CollectedStream, build_prompt, chosen_model
from qwendesk.agents.roles import role_definition
from qwendesk.agents.state import TurnState
from qwendesk.agents.tool_selection import NO_TOOL, offered_tools, suggest_tools
from qwendesk.tools.expressions import separated_expression

_EXACT = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 300}
"""Deterministic sampling: a call mostly copies from the question."""


async def select_tool(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Ask the model for one call, if a tool fits the message."""
    context, definition = runtime.context, role_definition(state["decision"].role)
    tools, text = offered_tools(definition, context), state["inbound"].text
    expression = separated_expression(text)
    if expression and any(tool["function"]["name"] == "algebra" for tool in tools):
        return {"messages": [_evaluate(expression)]}
    suggestion = suggest_tools(tools, text)
    if not suggestion:
        return {"messages": []}
    answering = context.pool.fallback_chat(chosen_model(state), context.progress)
    collected = CollectedStream()
    settings: dict[str, Any] = {"tools": suggestion.tools, "json_schema": suggestion.grammar, **_EXACT}
    async with aclosing(
        answering.stream(build_prompt(state, "select_tool", context), think=False, **settings)
    ) as chunks:
        async for chunk in chunks:
            collected.add(chunk)
    usage = replace(collected.usage(), first_at=None)
    return {"messages": _calls(collected.message()), "usage": usage, "choice": answering.choice}


async def after_select_tool(state: TurnState) -> Literal["tools", "answer"]:
    """Run the selected tool, if there is one."""
    last = state["messages"][-1]
    return "tools" if isinstance(last, AIMessage) and last.tool_calls else "answer"


def _evaluate(expression: str) -> AIMessage:
    """Call algebra with an expression as the person wrote it; a small model would split its numbers."""
    call = ToolCall(name="algebra", args={"operation": "evaluate", "expression": expression}, id=f"call_{uuid4().hex}")
    return AIMessage("", tool_calls=[call])


def _calls(message: AIMessage) -> list[AIMessage]:
    calls = [call for call in message.tool_calls if call["name"] != NO_TOOL][:1]
    return [AIMessage("", tool_calls=calls)] if calls else []
