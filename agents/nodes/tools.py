"""Run the tools that the model asked for; each failure is reported to the model.

A round with a call of a risky tool stops the graph by LangGraph's ``interrupt`` before any of its calls is run, since a
node that goes on begins anew.

LangGraph's ``ToolNode`` does not fit: it takes the tools when the graph is built, where this graph gets them with each
run, and it returns only messages, where a round here also records traces, notes, repeats and unreadable calls.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, InvalidToolCall, ToolCall, ToolMessage
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from qwendesk.agents.checks.call_schema import shown_call
from qwendesk.agents.model_call import chosen_model, unanswered_calls
from qwendesk.agents.roles import is_small
from qwendesk.agents.state import TurnContext, TurnState
from qwendesk.agents.tool_policy import PromptText, approval_reason
from qwendesk.errors import ToolError
from qwendesk.messages import Held, PendingCall, ToolFinished, ToolStarted, ToolUse, storable
from qwendesk.tools.base import ToolContext
from qwendesk.tools.toolbox import ToolFault

_UNREADABLE = 'Error: the arguments are not valid JSON. Call again as {"name": ..., "arguments": {...}}.'
_MAY_BE_MADE = "an earlier run of the message may have made the call"
"""Reason for an approval of a call that otherwise needs none."""
log = logging.getLogger(__name__)
_MAX_REPEATS = 3
"""The same call this often in a row ends the loop."""
_NOT_RUN: dict[Held, str] = {
    "declined": "Error: {name} was not run: the person declined it. Do not call it again; say that it was not done.",
    "nobody to ask": "Error: {name} was not run: it needs an approval, and nobody can be asked here. Say so.",
    "ask alone": (
        "Error: {name} was not run: it needs an approval, for which it has to be asked for in a message of its own. "
        "Say so."
    ),
    "dry run": (
        "Error: {name} was not run: this desk is tried out, and {call} is what it would do. "
        "Do not call it again; say that nothing was done."
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
    dry = runtime.context.toolbox.dry_names
    held |= {id_: "dry run" for call in calls if call["name"] in dry and (id_ := call["id"] or "") not in held}
    # a model that reads other arguments than those that were approved would report them
    changed: list[BaseMessage] = [last.model_copy(update={"tool_calls": calls})] if calls != last.tool_calls else []
    shown = sum(len(search.sources) for search in state.get("searches", ()))
    asker, number = ToolContext(state["inbound"], state["language"], shown), len(answers)
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
    notes += [_note_on_held(use) for use in uses if use.held]
    return {
        "tool_rounds": rounds,
        "messages": [*changed, *results],
        "tool_uses": uses,
        "searches": asker.searches,
        "notes": notes,
    }


async def after_tools(state: TurnState) -> Literal["answer", "decline"]:
    """Let the model answer from the results; a small model would tell a call that was not run as done.

    A customer of a desk with operators is told by the desk itself, if no call of the round was run.
    """
    uses = state["tool_uses"]
    held = [bool(use.held) for use in uses if use.round == uses[-1].round]
    is_told = all(held) if state["inbound"].asks_operators else False
    return "decline" if is_told or (any(held) and is_small(chosen_model(state).card)) else "answer"


def pending_calls(calls: list[ToolCall], state: TurnState, context: TurnContext) -> list[PendingCall]:
    """Return the calls of a round that need an approval, with the reasons; those that were asked about keep theirs."""
    waiting = [call for call in calls if call["name"] in context.toolbox.risky_names or call["id"] in context.asked]
    if not waiting:
        return []
    read, mode = _prompt_text(state, context), context.approve_risky
    if is_repeated := state["inbound"].has_ended_a_run or state["inbound"].may_repeat_calls:
        mode = "always"
    reasons = [
        (call, approval_reason(call["args"], read, "always" if call["id"] in context.asked else mode))
        for call in waiting
    ]
    more = f"; {_MAY_BE_MADE}" if is_repeated else ""
    return [
        PendingCall(call["id"] or "", call["name"], storable(call["args"]), f"{why}{more}")
        for call, why in reasons
        if why
    ]


def _decide(calls: list[ToolCall], state: TurnState, context: TurnContext) -> tuple[list[ToolCall], dict[str, Held]]:
    """Return the calls with the arguments that were approved, and the ids of those that are not run.

    The graph stops here until it is resumed with the ids that the person was asked about, and the arguments of the
    approved calls. A call of a tool that has become risky meanwhile is not among them, and is not run.
    """
    pending = pending_calls(calls, state, context)
    held: dict[str, Held] = {call.id: "declined" for call in pending if _was_declined(call, state)}
    undecided = [call for call in pending if call.id not in held]
    if undecided and not state["inbound"].can_approve:
        why: Held = "ask alone" if context.is_part else "nobody to ask"
        return calls, held | {call.id: why for call in undecided}
    if not undecided:
        return calls, held
    decision: Mapping[str, Any] = interrupt([asdict(call) for call in undecided])
    approved: Mapping[str, dict[str, Any]] = decision["approved"]
    for call in undecided:
        if call.id not in decision["asked"]:
            held[call.id] = "ask alone"
        elif call.id not in approved:
            held[call.id] = "declined"
    return [ToolCall(**{**call, "args": approved.get(call["id"] or "", call["args"])}) for call in calls], held


def _was_declined(call: PendingCall, state: TurnState) -> bool:
    """Return whether the person declined the call in this turn; in a second try, any call of the tool."""
    declined = [use for use in state["tool_uses"] if use.held == "declined" and use.name == call.tool]
    return (
        bool(declined)
        if state.get("escalation")
        else any(_plain(use.arguments) == _plain(call.arguments) for use in declined)
    )


def _plain(arguments: Any) -> str:
    """Return arguments without the differences of a model that insists: white space, case, and quotes of numbers."""
    text = json.dumps(arguments, sort_keys=True, default=str, ensure_ascii=False).casefold()
    return "".join(sign for sign in text if sign.isalnum())


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
        if held == "dry run":
            log.warning("Dry run: %s.", would_call(call["name"], call["args"]))
        told = _NOT_RUN[held].format(name=call["name"], call=shown_call(call["name"], call["args"]))
        return ToolUse(call["name"], call["args"], False, told, 0.0, held, number, held)
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


def would_call(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return what is said of a call that is not run because the desk is tried out."""
    return f"would call {shown_call(tool, arguments)}"


def _note_on_held(use: ToolUse) -> str:
    if use.held == "dry run":
        return f"dry run: {would_call(use.name, use.arguments)}"
    return f"the call of {use.name} was not run: {use.held}"


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
