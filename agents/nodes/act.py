"""Run the tools that the model asked for; whatever goes wrong is told to the model."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.state import TurnState
from qwendesk.errors import ToolError
from qwendesk.messages import ToolFinished, ToolStarted, ToolUse
from qwendesk.tools.asking import asked_by
from qwendesk.tools.registry import ToolFault

_UNREADABLE = 'Error: the arguments are not valid JSON. Call again as {"name": ..., "arguments": {...}}.'
_REPEATS = 3
"""The same call this often in a row ends the loop."""


async def act(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Run all calls of the last message side by side."""
    said = [message for message in state["messages"] if isinstance(message, AIMessage)]
    last = said[-1]
    rounds = state.get("rounds", 0) + 1
    if _repeated(said):
        return {"rounds": rounds, "stopped": "the same call three times", "messages": _enough(last, state["tools"])}
    with asked_by(state["inbound"], state["language"]):
        uses = await asyncio.gather(*(_use(call, len(said), runtime.context) for call in last.tool_calls))
    results: list[BaseMessage] = [
        ToolMessage(use.result, tool_call_id=call["id"], name=use.name, status="success" if use.ok else "error")
        for use, call in zip(uses, last.tool_calls, strict=True)
    ]
    results += [_unreadable(call) for call in last.invalid_tool_calls]
    uses += [_unread(call, len(said)) for call in last.invalid_tool_calls]
    failed = [f"the tool {use.name} failed: {use.result}" for use in uses if not use.ok]
    return {"rounds": rounds, "messages": results, "tools": uses, "notes": failed}


async def _use(call: ToolCall, number: int, context: TurnContext) -> ToolUse:
    """Run one call of the round of that number."""
    context.tell(ToolStarted(call["name"], call["args"]))
    begun = time.perf_counter()
    try:
        result, ok, reason = await context.toolbox.run(call["name"], call["args"]), True, ""
    except ToolError as error:
        result, ok, reason = f"Error: {error}", False, "" if isinstance(error, ToolFault) else str(error)
    spent = round((time.perf_counter() - begun) * 1e3, 2)
    use = ToolUse(call["name"], call["args"], ok, result, spent, reason, number)
    context.tell(ToolFinished(use))
    return use


def _repeated(said: list[AIMessage]) -> bool:
    newest = [_signature(message) for message in said[-_REPEATS:]]
    return len(newest) == _REPEATS and len(set(newest)) == 1


def _signature(message: AIMessage) -> str:
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    return json.dumps([(call["name"], call["args"]) for call in calls], sort_keys=True, default=str)


def _enough(last: AIMessage, uses: list[ToolUse]) -> list[ToolMessage]:
    known = f" Its result was: {uses[-1].result}" if uses else ""
    text = f"You have made this call three times.{known} Answer the person now, without calling a tool."
    calls = [*last.tool_calls, *last.invalid_tool_calls]
    return [ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error") for call in calls]


def _unread(call: InvalidToolCall, number: int) -> ToolUse:
    """Return the trace that a call leaves whose arguments could not be read."""
    return ToolUse(call["name"] or "unknown", {"unreadable": call["args"]}, False, _UNREADABLE, 0.0, round=number)


def _unreadable(call: InvalidToolCall) -> ToolMessage:
    return ToolMessage(_UNREADABLE, tool_call_id=call["id"] or "", name=call["name"] or "unknown", status="error")
