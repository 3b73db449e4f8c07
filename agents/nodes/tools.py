"""Run the tools that the model asked for; each failure is reported to the model.

A round with a call of a risky tool stops the graph by LangGraph's ``interrupt`` before any of its calls is run, since a
node that goes on begins anew.

LangGraph's ``ToolNode`` does not fit: it takes the tools when the graph is built, where this graph gets them with each
run, and it returns only messages, where a round here also records traces, notes, repeats and unreadable calls.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from qwendesk.agents.model_call import chosen_model, unanswered_calls
from qwendesk.agents.roles import is_small
from qwendesk.agents.state import TurnContext, TurnState
from qwendesk.agents.tool_policy import PromptText, approval_reason
from qwendesk.errors import ToolError
from qwendesk.messages import Held, PendingCall, ToolFinished, ToolStarted, ToolUse
from qwendesk.tools.base import ToolContext
from qwendesk.tools.toolbox import ToolFault

_UNREADABLE = 'Error: the arguments are not valid JSON. Call again as {"name": ..., "arguments": {...}}.'
_MAX_REPEATS = 3
"""The same call this often in a row ends the loop."""
_NOT_RUN: dict[Held, str] = {
    "declined": "Error: {name} was not run: the person declined it. Do not call it again; say that it was not done.",
    "nobody to ask": "Error: {name} was not run: it needs an approval, and nobody can be asked here. Say so.",
    "one of several questions": (
        "Error: {name} was not run: it needs an approval, for which it has to be asked for in a message of its own. "
        "Say so."
    ),
}
"""What the model is told of a call that was not run."""


async def tools(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Run all calls of the last message side by side."""
    answers = [message for message in state["messages"] if isinstance(message, AIMessage)]
    last = answers[-1].model_copy(update={"tool_calls": unanswered_calls(answers[-1], state)})
    rounds = state.get("tool_rounds", 0) + 1
    if _repeated(answers):
        messages = _stop_calling(last, state["tool_uses"])
        return {"tool_rounds": rounds, "tools_stopped": "the same call three times", "messages": messages}
    calls, held = _decide(last.tool_calls, state, runtime.context)
    asker, number = ToolContext(state["inbound"], state["language"]), len(answers)
    uses = await asyncio.gather(
        *(run_call(call, number, asker, runtime.context, held.get(call["id"] or "")) for call in calls)
    )
    results: list[BaseMessage] = [
        ToolMessage(use.result, tool_call_id=call["id"], name=use.name, status="success" if use.ok else "error")
        for use, call in zip(uses, last.tool_calls, strict=True)
    ]
    results += [_unreadable_message(call) for call in last.invalid_tool_calls]
    uses += [_unreadable_use(call, number) for call in last.invalid_tool_calls]
    notes = [f"the tool {use.name} failed: {use.result}" for use in uses if not (use.ok or use.held)]
    notes += [f"the call of {use.name} was not run: {use.held}" for use in uses if use.held]
    return {
        "tool_rounds": rounds,
        "messages": results,
        "tool_uses": uses,
        "searches": asker.searches,
        "notes": notes,
    }


async def after_tools(state: TurnState) -> Literal["answer", "decline"]:
    """Let the model answer from the results; a small model would tell a call that was not run as done."""
    uses = state["tool_uses"]
    is_held = bool(uses) and all(use.held for use in uses if use.round == uses[-1].round)
    return "decline" if is_held and is_small(chosen_model(state).card) else "answer"


def pending_calls(calls: list[ToolCall], state: TurnState, context: TurnContext) -> list[PendingCall]:
    """Return the calls of a round that need an approval, with the reasons."""
    names = context.toolbox.risky_names | context.pending_tools
    risky = [call for call in calls if call["name"] in names]
    if not risky:
        return []
    read = _prompt_text(state, context)
    reasons = [(call, approval_reason(call["args"], read, context.approve_risky)) for call in risky]
    return [PendingCall(call["id"] or "", call["name"], call["args"], why) for call, why in reasons if why]


def _decide(calls: list[ToolCall], state: TurnState, context: TurnContext) -> tuple[list[ToolCall], dict[str, Held]]:
    """Return the calls with the arguments that were approved, and the ids of those that are not run.

    The graph stops here until it is resumed with the arguments of the approved calls, by their ids.
    """
    pending = pending_calls(calls, state, context)
    declined = [(use.name, use.arguments) for use in state["tool_uses"] if use.held == "declined"]
    again: dict[str, Held] = {call.id: "declined" for call in pending if (call.tool, call.arguments) in declined}
    asked = [call for call in pending if call.id not in again]
    if not asked:
        return calls, again
    if not state["inbound"].can_approve:
        held: Held = "one of several questions" if context.is_part else "nobody to ask"
        return calls, again | {call.id: held for call in asked}
    decision: Mapping[str, Mapping[str, dict[str, Any]]] = interrupt([asdict(call) for call in asked])
    approved = decision["approved"]
    declined_now: dict[str, Held] = {call.id: "declined" for call in asked if call.id not in approved}
    decided = [ToolCall(**{**call, "args": approved.get(call["id"] or "", call["args"])}) for call in calls]
    return decided, again | declined_now


def _prompt_text(state: TurnState, context: TurnContext) -> PromptText:
    """Return what the model has read: the message, and what others may have written."""
    inbound, decision = state["inbound"], state["decision"]
    others = [
        (f"the result of {use.name}", use.result)
        for use in state["tool_uses"]
        if use.name not in context.toolbox.trusted_names and use.held is None
    ]
    retrieval = state.get("retrieval")
    others += [("a document", source.text) for source in (retrieval.search.sources if retrieval else ())]
    # all that stands beside the message in the first prompt: documents and passages
    question = state["messages"][0].text.replace(inbound.text, "", 1)
    others += [("a document", question)] if question.strip() else []
    others += [("notes about the conversation", text)] if (text := state.get("background", "")) else []
    earlier = "\n".join(message.text for message in state["history"])
    others += [("earlier messages", earlier)] if state["history"] else []
    media = any(part.kind != "document" for part in inbound.attachments) or decision.recalls_picture
    return PromptText(inbound.text, [*others, *([("a picture or recording", "")] if media else [])])


async def run_call(
    call: ToolCall, number: int, asker: ToolContext, context: TurnContext, held: Held | None = None
) -> ToolUse:
    """Run one call of the round of that number, unless it is held back."""
    if held:
        return ToolUse(
            call["name"], call["args"], False, _NOT_RUN[held].format(name=call["name"]), 0.0, held, number, held
        )
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
