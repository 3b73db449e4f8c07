"""Fit the calls of a model into the JSON schemas of the tools."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from langchain_core.messages import AIMessage, ToolCall

from qwendesk.engines.stream.tool_schema import allowed_types, type_of
from qwendesk.prompt_quoting import one_line
from qwendesk.redaction import redact

Schemas = Mapping[str, Mapping[str, Any]]
"""The functions that tools describe themselves by, by name."""
_MAX_SHOWN_CHARS = 60


def tidied(message: AIMessage, schemas: Schemas) -> AIMessage:
    """Return the message with each call once, without optional arguments that are empty or in no enum."""
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
    spelled = {key: _as_spelled(value, properties.get(key) or {}) for key, value in arguments.items()}
    return {
        key: value
        for key, value in spelled.items()
        if key in required or (value is not None and _is_in_enum(value, properties.get(key) or {}))
    }


def _is_in_enum(value: Any, schema: Mapping[str, Any]) -> bool:
    return "enum" not in schema or value in schema["enum"]


def _as_spelled(value: Any, schema: Mapping[str, Any]) -> Any:
    """Return a value of an enum as the enum spells it."""
    if isinstance(value, list):
        return [_as_spelled(item, schema.get("items") or {}) for item in value]
    if not isinstance(value, str):
        return value
    spelled = [one for one in schema.get("enum", ()) if isinstance(one, str) and one.casefold() == value.casefold()]
    return spelled[0] if spelled and value not in spelled else value


def faults(message: AIMessage, schemas: Schemas) -> list[str]:
    """Return why calls of a message cannot be run."""
    found = [why for call in message.tool_calls if (why := fault(call, schemas))]
    return found + [f"{call['name'] or 'it'} could not be read" for call in message.invalid_tool_calls]


def fault(call: ToolCall, schemas: Schemas) -> str:
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
        if not (_is_in_enum(value, schema) and _fits(value, allowed_types(schema, whole))):
            return f"{call['name']} does not take {shown_value(value)} as {key!r}"
    return ""


def _fits(value: Any, allowed: frozenset[str]) -> bool:
    """Return whether a value has an allowed type; a number counts as text, and a whole decimal number as an integer."""
    kind = type_of(value)
    if kind in allowed or (kind == "integer" and "number" in allowed):
        return True
    is_whole = isinstance(value, float) and value.is_integer() and "integer" in allowed
    return is_whole or (kind in ("integer", "number") and "string" in allowed)


def grammar(tools: Iterable[Mapping[str, Any]], least: int, most: int) -> dict[str, Any]:
    """Return the JSON schema of one call, or of a list of calls."""
    one = {"anyOf": [_call_schema(tool["function"]) for tool in tools]}
    return one if most == 1 else {"type": "array", "items": one, "minItems": least, "maxItems": most}


def _call_schema(function: Mapping[str, Any]) -> dict[str, Any]:
    closed = {"type": "object", "additionalProperties": False}
    parameters = {**function["parameters"], "additionalProperties": False}
    parts = {"name": {"const": function["name"]}, "arguments": parameters}
    return {**closed, "properties": parts, "required": list(parts)}


def shown_value(value: Any) -> str:
    """Return an argument's value for a note."""
    text = one_line(json.dumps(value, ensure_ascii=False, default=str))
    return text if len(text) <= _MAX_SHOWN_CHARS else f"{text[: _MAX_SHOWN_CHARS - 1]}…"


def shown_call(tool: str, arguments: Mapping[str, Any]) -> str:
    """Return a call in one line, such as ``cancel_order(number=4711)``, with passwords and keys hidden."""
    values = {
        name: value if isinstance(value, str) and value.isalnum() else shown_value(value)
        for name, value in arguments.items()
    }
    return redact(f"{tool}({', '.join(f'{name}={value}' for name, value in values.items())})")
