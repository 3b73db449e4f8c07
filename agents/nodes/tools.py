"""Run the tools that the model asked for; each failure is reported to the model.

LangGraph's ``ToolNode`` does not fit: it takes the tools when the graph is built, where this graph gets them with each
run, and it returns only messages, where a round here also records traces, notes, repeats and unreadable calls.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage
from langgraph.runtime import Runtime

from qwendesk.agents.state import TurnContext, TurnState
from qwendesk.errors import ToolError
from qwendesk.messages import ToolFinished, ToolStarted, ToolUse
from qwendesk.tools.base import ToolContext
from qwendesk.tools.toolbox import ToolFault

_UNREADABLE = 'Error: the arguments are not valid JSON. Call again as {"name": ..., "arguments": {...}}.'
_MAX_REPEATS = 3
"""The same call this often in a row ends the loop."""


async def tools(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Run all calls of the last message side by side."""
    answers = [message for message in state["messages"] if isinstance(message, AIMessage)]
    last = answers[-1]
    rounds = state.get("tool_rounds", 0) + 1
    if _repeated(answers):
        messages = _stop_calling(last, state["tool_uses"])
        return {"tool_rounds": rounds, "tools_stopped": "the same call three times", "messages": messages}
    asker, number = ToolContext(state["inbound"], state["language"]), len(answers)
    uses = await asyncio.gather(*(_use(call, number, asker, runtime.context) for call in last.tool_calls))
    results: list[BaseMessage] = [
        ToolMessage(use.result, tool_call_id=call["id"], name=use.name, status="success" if use.ok else "error")
        for use, call in zip(uses, last.tool_calls, strict=True)
    ]
    results += [_unreadable_message(call) for call in last.invalid_tool_calls]
    uses += [_unreadable_use(call, number) for call in last.invalid_tool_calls]
    failed = [f"the tool {use.name} failed: {use.result}" for use in uses if not use.ok]
    return {"tool_rounds": rounds, "messages": results, "tool_uses": uses, "notes": failed}


async def _use(call: ToolCall, number: int, asker: ToolContext, context: TurnContext) -> ToolUse:
    """Run one call of the round of that number."""
    context.emit(ToolStarted(call["name"], call["args"]))
    begun = time.perf_counter()
    try:
        result, ok, reason = await context.toolbox.run(call["name"], call["args"], asker), True, ""
    except ToolError as error:
        result, ok, reason = f"Error: {error}", False, "" if isinstance(error, ToolFault) else str(error)
    spent = round((time.perf_counter() - begun) * 1e3, 2)
    use = ToolUse(call["name"], call["args"], ok, result, spent, reason, number)
    context.emit(ToolFinished(use))
    return use


def _repeated(answers: list[AIMessage]) -> bool:
    newest = [_signature(message) for message in answers[-_MAX_REPEATS:]]
    return len(newest) == _MAX_REPEATS and len(set(newest)) == 1


def _signature(message: AIMessage) -> str:
    calls = [*message.tool_calls, *message.invalid_tool_calls]
    return json.dumps([(call["name"], call["args"]) for call in calls], sort_keys=True, default=str)


def _stop_calling(last: AIMessage, uses: list[ToolUse]) -> list[ToolMessage]:
    """Answer repeated calls with the known result and the request to answer now."""
    known = f" Its result was: {uses[-1].result}" if uses else ""
    text = f"You have made this call three times.{known} Answer the person now, without calling a tool."
    calls = [*last.tool_calls, *last.invalid_tool_calls]
    return [ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error") for call in calls]


def _unreadable_use(call: InvalidToolCall, number: int) -> ToolUse:
    """Return the trace of a call whose arguments could not be read."""
    return ToolUse(call["name"] or "unknown", {"unreadable": call["args"]}, False, _UNREADABLE, 0.0, round=number)


def _unreadable_message(call: InvalidToolCall) -> ToolMessage:
    return ToolMessage(_UNREADABLE, tool_call_id=call["id"] or "", name=call["name"] or "unknown", status="error")
