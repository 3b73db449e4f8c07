"""Review the calls of an answer before they are run: repair those of a small model, drop those with made-up values.

A larger model is told what is wrong with a call and may call again. A small one repeats its mistake, so it writes the
calls once more under a grammar, with ``answer`` among the choices.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.call_values import JudgedCall, KnownValues
from qwendesk.agents.model_call import EXACT_SAMPLING, CollectedStream, build_prompt, chosen_model
from qwendesk.agents.roles import is_small, offered_tools, role_definition
from qwendesk.agents.state import TokenUsage, TurnContext, TurnState
from qwendesk.engines.stream.tool_schema import allowed_types, type_of
from qwendesk.errors import EngineError
from qwendesk.models.card import SelectedModel
from qwendesk.prompt_quoting import one_line

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
_MAX_CALL_TOKENS = 300
"""Tokens of one call under the grammar."""
_MAX_SHOWN_CHARS = 60
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
    if is_small(choice.card):
        message = _tidied(message, schemas)
        if faults := _faults(message, schemas):
            message, usage, choice = await _rewrite(state, context, message)
            message = _tidied(message, schemas)
            notes = [f"a call was written again, because {faults[0]}"]
            # what is still wrong cannot be run
            message = message.model_copy(
                update={"tool_calls": _without_faults(message, schemas), "invalid_tool_calls": []}
            )
    judged = await asyncio.to_thread(_judge, message, schemas, state, context)
    kept = [
        ToolCall(name=call["name"], args=verdict.arguments, id=call["id"])
        for call, verdict in judged
        if not verdict.made_up
    ]
    notes += [note for call, verdict in judged for note in _notes(call, verdict)]
    dropped = [(call, verdict) for call, verdict in judged if verdict.made_up]
    changed: dict[str, Any] = {"usage": usage, "choice": choice, "notes": notes}
    if kept or message.invalid_tool_calls or not dropped:
        return {**changed, "messages": [message.model_copy(update={"tool_calls": kept})]}
    told = [_told(call, verdict) for call, verdict in dropped]
    rounds = state.get("tool_rounds", 0) + 1
    return {**changed, "messages": [message, *told], "tool_rounds": rounds}


async def after_review(state: TurnState) -> Literal["tools", "answer", "check"]:
    """Run the calls that are left; without any, answer anew, unless the message has a text already."""
    last = state["messages"][-1]
    if isinstance(last, AIMessage):
        if last.tool_calls or last.invalid_tool_calls:
            return "tools"
        return "check" if last.text.strip() else "answer"
    return "answer"


def _tidied(message: AIMessage, schemas: Mapping[str, Mapping[str, Any]]) -> AIMessage:
    """Return the message with each call once, without empty arguments, and with enums as they are spelled."""
    calls: list[ToolCall] = []
    for call in message.tool_calls:
        if call["name"] in schemas:
            call = ToolCall(
                name=call["name"], args=_tidied_arguments(call["args"], schemas[call["name"]]), id=call["id"]
            )
        if not any((other["name"], other["args"]) == (call["name"], call["args"]) for other in calls):
            calls.append(call)
    return message.model_copy(update={"tool_calls": calls})


def _tidied_arguments(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    parameters = schema.get("parameters") or {}
    properties, required = parameters.get("properties", {}), parameters.get("required", ())
    return {
        key: _as_spelled(value, properties.get(key) or {})
        for key, value in arguments.items()
        if value is not None or key in required
    }


def _as_spelled(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value of an enum as the enum spells it."""
    if isinstance(value, list):
        return [_as_spelled(item, schema.get("items") or {}) for item in value]
    if not isinstance(value, str):
        return value
    spelled = [one for one in schema.get("enum", ()) if isinstance(one, str) and one.casefold() == value.casefold()]
    return spelled[0] if spelled and value not in spelled else value


def _faults(message: AIMessage, schemas: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return why calls of a message cannot be run."""
    found = [fault for call in message.tool_calls if (fault := _fault(call, schemas))]
    return found + [f"{call['name'] or 'it'} could not be read" for call in message.invalid_tool_calls]


def _without_faults(message: AIMessage, schemas: Mapping[str, Mapping[str, Any]]) -> list[ToolCall]:
    return [call for call in message.tool_calls if not _fault(call, schemas)]


def _fault(call: ToolCall, schemas: Mapping[str, Mapping[str, Any]]) -> str:
    """Return why a call cannot be run; empty if it can."""
    if call["name"] not in schemas:
        return f"no tool is called {call['name']!r}"
    whole = schemas[call["name"]].get("parameters") or {}
    properties = whole.get("properties", {})
    for key in whole.get("required", ()):
        if key not in call["args"]:
            return f"{call['name']} lacks {key!r}"
    for key, value in call["args"].items():
        schema = properties.get(key) or {}
        if "enum" in schema and value not in schema["enum"]:
            return f"{call['name']} does not take {_shown(value)} as {key!r}"
        if not _fits(value, allowed_types(schema, whole)):
            return f"{call['name']} does not take {_shown(value)} as {key!r}"
    return ""


def _fits(value: Any, allowed: frozenset[str]) -> bool:
    """Return whether a value has an allowed type; a number counts as text, and a whole decimal number as an integer."""
    kind = type_of(value)
    if kind in allowed or (kind == "integer" and "number" in allowed):
        return True
    is_whole = isinstance(value, float) and value.is_integer() and "integer" in allowed
    return is_whole or (kind in ("integer", "number") and "string" in allowed)


async def _rewrite(
    state: TurnState, context: TurnContext, message: AIMessage
) -> tuple[AIMessage, TokenUsage, SelectedModel]:
    """Let the model write its calls again under a grammar; it may choose to answer."""
    choice, definition = chosen_model(state), role_definition(state["decision"].role)
    offered = offered_tools(definition, choice.card, state["inbound"].text, context)
    tools = [*offered, _NO_TOOL_SCHEMA]
    number = max(1, len(message.tool_calls) + len(message.invalid_tool_calls))
    settings: dict[str, Any] = {
        "tools": tools,
        "json_schema": _grammar(tools, number),
        "max_tokens": number * _MAX_CALL_TOKENS,
        **EXACT_SAMPLING,
    }
    before: TurnState = {**state, "messages": state["messages"][:-1]}
    answering = context.pool.fallback_chat(choice, context.progress)
    collected = CollectedStream()
    try:
        prompt = build_prompt(before, definition.prompt, context, tools=True)
        async with aclosing(answering.stream(prompt, think=False, **settings)) as chunks:
            async for chunk in chunks:
                collected.add(chunk)
    except EngineError:
        # a schema that the engine cannot turn into a grammar, for instance
        return message, TokenUsage(), choice
    calls = [call for call in collected.message().tool_calls if call["name"] != NO_TOOL]
    repaired = message.model_copy(update={"tool_calls": calls, "invalid_tool_calls": []})
    return repaired, replace(collected.usage(), first_at=None), answering.choice


def _grammar(tools: Iterable[Mapping[str, Any]], number: int) -> dict[str, Any]:
    """Return the JSON schema of one call, or of a list of up to ``number`` calls."""
    one = {"anyOf": [_call_schema(tool["function"]) for tool in tools]}
    return one if number == 1 else {"type": "array", "items": one, "minItems": 1, "maxItems": number}


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    closed = {"type": "object", "additionalProperties": False}
    parameters = {**function["parameters"], "additionalProperties": False}
    parts = {"name": {"const": function["name"]}, "arguments": parameters}
    return {**closed, "properties": parts, "required": list(parts)}


def _judge(
    message: AIMessage, schemas: Mapping[str, Mapping[str, Any]], state: TurnState, context: TurnContext
) -> list[tuple[ToolCall, JudgedCall]]:
    """Judge the values of each call of an own tool; what a picture or a recording shows cannot be compared."""
    question, inbound = state["messages"][0], state["inbound"]
    own = context.own_tools if isinstance(question.content, str) else ()
    # a call that does not fit its schema is told to the model by the node that runs it
    judged = [call for call in message.tool_calls if call["name"] in own and not _fault(call, schemas)]
    if not judged:
        return [(call, JudgedCall(call["args"])) for call in message.tool_calls]
    others = [
        *(text for text in (context.system_context, state.get("background"), state.get("whole_text")) if text),
        *(one.text for one in (*state["history"], *state.get("retry_prompt", ()), *state["messages"]) if _gives(one)),
    ]
    known = KnownValues(inbound.text, others, language=state["language"], today=datetime.now(UTC).date())
    return [
        (call, known.judge(call["args"], schemas[call["name"]].get("parameters") or {}))
        if call in judged
        else (call, JudgedCall(call["args"]))
        for call in message.tool_calls
    ]


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


def _told(call: ToolCall, verdict: JudgedCall) -> ToolMessage:
    text = _NOT_CALLED.format(values=_listed(verdict.made_up))
    return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"], status="error")


def _listed(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} = {_shown(value)}" for key, value in arguments.items())


def _shown(value: Any) -> str:
    text = one_line(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"
