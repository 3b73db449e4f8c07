"""Let a small model select one tool, or none, under a grammar, so that each call it writes can be run."""

from __future__ import annotations

import re
import tomllib
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal
from uuid import uuid4

from langchain_core.messages import AIMessage, ToolCall
from langgraph.runtime import Runtime

from qwendesk.agents.model_call import CollectedStream, build_prompt, chosen_model
from qwendesk.agents.roles import offered_tools, role_definition
from qwendesk.agents.state import TurnContext, TurnState
from qwendesk.tools.algebra import separated_expression

_MAX_CUE_CHARS = 1500
"""Characters of a message that are searched for a cue, on the event loop."""
NO_TOOL = "answer"
"""The name by which a small model selects no tool."""
_NO_TOOL_SCHEMA = {
    "type": "function",
    "function": {
        "name": NO_TOOL,
        "description": (
            "Answer the person directly, in words. Use it for greetings, explanations, opinions, translations, "
            "knowledge and everything that no other function covers."
        ),
        "parameters": {"type": "object", "properties": {}},
    },
}
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


@dataclass(frozen=True, slots=True)
class ToolSuggestion:
    """The tools a small model selects from."""

    tools: list[dict[str, Any]]
    """The schemas it is shown, always the same so that their prompt stays cached. The first means no tool."""
    grammar: dict[str, Any]
    """JSON schema of the one call that it writes."""


def suggest_tools(schemas: list[dict[str, Any]], text: str) -> ToolSuggestion | None:
    """Return the tools that a text gives a reason for; None if it gives none.

    A tool without cues is always possible. If the text holds a tool's cue, selecting no tool is not allowed.
    """
    names = [schema["function"]["name"] for schema in schemas]
    called_for = {name for name in names if _has_cue(name, text)}
    possible = called_for | (set(names) - _cues().keys())
    if not possible:
        return None
    shown = [_NO_TOOL_SCHEMA, *schemas]
    if not called_for:
        possible.add(NO_TOOL)
    calls = [_call_schema(schema["function"]) for schema in shown if schema["function"]["name"] in possible]
    return ToolSuggestion(shown, {"anyOf": calls})


def _call_schema(function: dict[str, Any]) -> dict[str, Any]:
    closed = {"type": "object", "additionalProperties": False}
    parameters = {**function["parameters"], "additionalProperties": False}
    parts = {"name": {"const": function["name"]}, "arguments": parameters}
    return {**closed, "properties": parts, "required": list(parts)}


def _has_cue(name: str, text: str) -> bool:
    cue = _cues().get(name)
    return cue is not None and bool(cue.search(text[:_MAX_CUE_CHARS]))


@cache
def _cues() -> dict[str, re.Pattern[str]]:
    cues = tomllib.loads(resources.files("qwendesk.agents").joinpath("tool_cues.toml").read_text("utf-8"))
    return {name: re.compile("|".join(patterns), re.IGNORECASE) for name, patterns in cues.items()}
