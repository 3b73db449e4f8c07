"""Review the calls of an answer before they are run: repair those of a small model, drop those with made-up values.

A larger model is told what is wrong with a call and may call again. A small one repeats its mistake, so it writes the
calls once more under a grammar, with ``answer`` among the choices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.call_schema import Schemas, fault, faults, grammar, shown_value, tidied
from qwendesk.agents.checks.call_values import JudgedCall, KnownValues, may_be_about
from qwendesk.agents.checks.uncalled_values import codes_in, hold_code, is_another_thing, left_over
from qwendesk.agents.guards.promises import looks_up
from qwendesk.agents.model_call import EXACT_SAMPLING, CollectedStream, build_prompt, chosen_model, unanswered_calls
from qwendesk.agents.nodes.retrieve import is_decided
from qwendesk.agents.roles import is_small, offered_tools, role_definition
from qwendesk.agents.state import TokenUsage, TurnContext, TurnState
from qwendesk.errors import EngineError
from qwendesk.messages import AnswerReset

NO_TOOL = "answer"
"""The name by which a model chooses no tool under the grammar."""
_NO_TOOL_SCHEMA = {
    "type": "function",
    "function": {
        "name": NO_TOOL,
        "description": "Answer the person directly, in words, where no other function fits.",
        "parameters": {"type": "object", "properties": {}},
    },
}
log = logging.getLogger(__name__)
_MAX_CALL_TOKENS = 300
"""Tokens of one call under the grammar."""
_MAX_CALLS = 8
"""Calls in a list under the grammar, as far as their tokens go."""
_NOT_CALLED = (
    "Error: not called, because {values} stands neither in the messages nor in a result. Do not make values up: answer "
    "without this tool, or ask for what is missing."
)


async def review_calls(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Replace the calls of the last message by those that can be run; if none is left, the model answers without."""
    context, choice, message = runtime.context, chosen_model(state), state["messages"][-1]
    assert isinstance(message, AIMessage)  # the last message of an answer with calls
    schemas = {name: context.toolbox.schemas([name])[0]["function"] for name in context.toolbox.names}
    usage, notes = TokenUsage(), list[str]()
    if not (message.tool_calls or message.invalid_tool_calls):
        return await _look_up(state, context, message, schemas)
    if is_small(choice.card):
        message = tidied(message, schemas)
        if wrong := faults(message, schemas):
            number = max(1, len(message.tool_calls) + len(message.invalid_tool_calls))
            message, usage = await _rewrite(state, context, message, schemas, most=number)
            notes = [f"a call was written again, because {wrong[0]}"]
    judged = await asyncio.to_thread(_judge, message, schemas, state, context)
    notes += [note for call, verdict in judged for note in _notes(call, verdict)]
    dropped = [(call, verdict) for call, verdict in judged if verdict.made_up]
    kept = [_judged_call(call, verdict) for call, verdict in judged if not verdict.made_up]
    if is_small(choice.card) and kept:
        kept, cost = await _list_calls(state, context, message, schemas, kept)
        usage += cost
    # the calls stay in the message, since a protocol without them has no place for what the model is told
    told = [_told(call, verdict, state, schemas[call["name"]]) for call, verdict in dropped]
    whole = message.model_copy(update={"tool_calls": [*kept, *(call for call, _ in dropped)]})
    changed = {"messages": [whole, *told], "usage": usage, "notes": notes}
    if kept or message.invalid_tool_calls or not dropped:
        return changed
    return {**changed, "tool_rounds": state.get("tool_rounds", 0) + 1}


def skips_a_look_up(state: TurnState, context: TurnContext) -> bool:
    """Return whether a small model, which may call own tools, answered about a code without looking it up."""
    card = chosen_model(state).card
    if not (context.own_tools and card.tools and is_small(card)) or not state["messages"][-1].text.strip():
        return False
    if state["tool_uses"] or state.get("tool_rounds") or state.get("retry_request"):
        return False
    return bool(codes_in(state["inbound"].text)) and isinstance(state["messages"][0].content, str)


async def _look_up(state: TurnState, context: TurnContext, message: AIMessage, schemas: Schemas) -> dict[str, Any]:
    """Let a small model look up a code of the message with an own tool under a grammar; it may keep its answer.

    Only tools are offered that by their name look something up, and none that is risky.
    """
    codes = codes_in(state["inbound"].text)
    only = [name for name in context.own_tools if looks_up(name) and name not in context.toolbox.risky_names]
    if not only:
        return {}
    written, usage = await _rewrite(state, context, message, schemas, most=min(len(codes), _MAX_CALLS), only=only)
    # the answer that is withdrawn gives no values
    before: TurnState = {**state, "messages": state["messages"][:-1]}
    judged = await asyncio.to_thread(_judge, written, schemas, before, context)
    kept = [
        _judged_call(call, verdict)
        for call, verdict in judged
        if call["name"] in only and not verdict.made_up and hold_code(call["args"], codes)
    ]
    if not kept:
        return {"usage": usage}
    context.emit(AnswerReset("the answer was given without looking it up", chosen_model(state).card.name))
    called = message.model_copy(update={"content": "", "tool_calls": _different(kept)})
    named = ", ".join(sorted(code for code in codes if any(hold_code(call["args"], [code]) for call in kept)))
    note = f"{kept[0]['name']} was called, because the answer was about {named} without looking it up"
    return {"messages": [called], "usage": usage, "notes": [note]}


async def after_review(state: TurnState) -> Literal["tools", "quote", "answer", "check"]:
    """Run the calls that are left; without any, answer anew, unless there is a text or the documents decide."""
    last = next(message for message in reversed(state["messages"]) if isinstance(message, AIMessage))
    if last.invalid_tool_calls or unanswered_calls(last, state):
        return "tools"
    if is_decided(state):
        return "quote"
    return "check" if last.text.strip() and not last.tool_calls else "answer"


async def _list_calls(
    state: TurnState,
    context: TurnContext,
    message: AIMessage,
    schemas: Schemas,
    kept: list[ToolCall],
) -> tuple[list[ToolCall], TokenUsage]:
    """Return the calls for all that the message names, since a small model calls for one of several things and stops.

    It lists them under a grammar. What it lists beside the calls counts only if it holds something that they leave
    over. A list that holds all that the calls hold replaces them, since the model may have mixed several things in one.
    """
    text = state["inbound"].text
    rest = left_over(text, [call["args"] for call in kept])
    if not rest or any(call["name"] not in context.own_tools for call in kept):
        return kept, TokenUsage()
    asked = message.model_copy(update={"tool_calls": []})
    written, usage = await _rewrite(state, context, asked, schemas, least=len(kept) + 1, most=_MAX_CALLS)
    judged = await asyncio.to_thread(_judge, written, schemas, state, context)
    listed = _different([_judged_call(call, verdict) for call, verdict in judged if not verdict.made_up])
    further = [call for call in _different([*kept, *listed])[len(kept) :] if rest.is_in(call["args"])]
    if not further:
        return kept, usage
    arguments = [call["args"] for call in listed]
    is_whole = left_over(text, arguments) == left_over(text, [*arguments, *(call["args"] for call in kept)])
    return (listed if is_whole else [*kept, *further]), usage


def _different(calls: Iterable[ToolCall]) -> list[ToolCall]:
    """Return the calls that ask for another thing than those before them."""
    found: list[ToolCall] = []
    for call in calls:
        if is_another_thing(call["args"], [one["args"] for one in found if one["name"] == call["name"]]):
            found.append(call)
    return found


async def _rewrite(
    state: TurnState,
    context: TurnContext,
    message: AIMessage,
    schemas: Schemas,
    *,
    least: int = 1,
    most: int,
    only: Container[str] | None = None,
) -> tuple[AIMessage, TokenUsage]:
    """Let the model write its calls again under a grammar; it may answer. What still cannot be run is left out.

    Args:
        state: the turn.
        context: the turn's context.
        message: the answer with the calls.
        schemas: the tools by name.
        least: the least number of calls.
        most: the greatest number of calls.
        only: the names of the tools that may be called; None: all that are offered.
    """
    choice = chosen_model(state)
    offered = offered_tools(role_definition(state["decision"].role), choice.card, state["inbound"].text, context)
    offered = [tool for tool in offered if only is None or tool["function"]["name"] in only]
    tools = [*offered, _NO_TOOL_SCHEMA]
    settings: dict[str, Any] = {
        "tools": tools,
        "json_schema": grammar(tools, least, most),
        "max_tokens": min(most, _MAX_CALLS) * _MAX_CALL_TOKENS,
        **EXACT_SAMPLING,
    }
    before: TurnState = {**state, "messages": state["messages"][:-1]}
    answering = context.pool.fallback_chat(choice, context.progress)
    collected = CollectedStream()
    try:
        prompt = build_prompt(before, "tools", context, tools=True)
        async with aclosing(answering.stream(prompt, think=False, **settings)) as chunks:
            async for chunk in chunks:
                collected.add(chunk)
    except EngineError as error:
        # a schema that the engine cannot turn into a grammar, for instance
        log.info("The calls could not be written again: %s", error)
    calls = [call for call in collected.message().tool_calls if call["name"] != NO_TOOL]
    rewritten = tidied(message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []}), schemas)
    runnable = [call for call in rewritten.tool_calls if not fault(call, schemas)]
    return rewritten.model_copy(update={"tool_calls": runnable}), replace(collected.usage(), first_at=None)


def _judge(
    message: AIMessage, schemas: Schemas, state: TurnState, context: TurnContext
) -> list[tuple[ToolCall, JudgedCall]]:
    """Judge the values of each call of an own tool; what a picture or a recording shows cannot be compared."""
    question, inbound = state["messages"][0], state["inbound"]
    own = context.own_tools if isinstance(question.content, str) else ()
    # a call that does not fit its schema is told to the model by the node that runs it
    judged = [call for call in message.tool_calls if call["name"] in own and not fault(call, schemas)]
    if not judged:
        return [(call, JudgedCall(call["args"])) for call in message.tool_calls]
    retrieval = state.get("retrieval")
    others = [
        *(text for text in (context.system_context, state.get("background"), state.get("whole_text")) if text),
        *(source.text for source in (retrieval.search.sources if retrieval else ())),
        *(one.text for one in (*state["history"], *state.get("retry_prompt", ()), *state["messages"]) if _gives(one)),
    ]
    known = KnownValues(
        inbound.text,
        others,
        language=state["language"],
        today=datetime.now(UTC).date(),
        trusts_model=not is_small(chosen_model(state).card),
    )
    return [
        (call, known.judge(call["args"], schemas[call["name"]].get("parameters") or {}))
        if call in judged
        else (call, JudgedCall(call["args"]))
        for call in message.tool_calls
    ]


def _judged_call(call: ToolCall, verdict: JudgedCall) -> ToolCall:
    return ToolCall(name=call["name"], args=verdict.arguments, id=call["id"])


def _gives(message: BaseMessage) -> bool:
    """Return whether a message gives values: not a call itself, and not an error about one."""
    if isinstance(message, ToolMessage):
        return message.status == "success"
    return not (isinstance(message, AIMessage) and message.tool_calls)


def _notes(call: ToolCall, verdict: JudgedCall) -> list[str]:
    """Return the receipt's notes about a call that was changed or dropped."""
    if verdict.made_up:
        return [
            f"{call['name']} was not called: {_listed(verdict.made_up)} stands neither in the messages nor in a result"
        ]
    if verdict.left_out:
        return [f"{call['name']} was called without {_listed(verdict.left_out)}, which nobody gave"]
    return []


def _told(call: ToolCall, verdict: JudgedCall, state: TurnState, schema: Mapping[str, Any]) -> ToolMessage:
    """Return what the model is told of a call that is not made; its artifact are the values to ask for, if any.

    A call that is about something else than the question is a mistake: nothing has to be asked for.
    """
    text = _NOT_CALLED.format(values=_listed(verdict.made_up))
    described = f"{call['name']} {schema.get('description', '')}"
    missing = list(verdict.made_up) if may_be_about(state["inbound"].text, state["language"], described) else []
    return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error", artifact=missing)


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {shown_value(value)}" for key, value in arguments.items())
