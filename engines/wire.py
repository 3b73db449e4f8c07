"""Messages in the form that OpenAI-compatible servers and chat templates read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
    convert_to_openai_data_block,
    is_data_content_block,
)

from qwendesk.engines.plain_text import plain_data
from qwendesk.errors import EngineError


def openai_messages(messages: list[BaseMessage], *, text: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the messages as OpenAI-style dicts.

    Thinking is left out: it never goes back to a model. The text of every role passes through ``text``, which must
    keep template tokens in it from being read as such: a system message holds a person's words too.
    """
    return [_message(message, text) for message in messages]


def openai_tools(tools: Sequence[dict[str, Any]], *, text: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the schemas of tools with every name and description in them passed through ``text``."""
    return [plain_data(tool, text) for tool in tools]


def _message(message: BaseMessage, text: Callable[[str], str]) -> dict[str, Any]:
    match message:
        case SystemMessage():
            return {"role": "system", "content": text(message.text)}
        case HumanMessage():
            return {"role": "user", "content": _parts(message.content, text)}
        case ToolMessage():
            return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text(message.text)}
        case AIMessage():
            said: dict[str, Any] = {"role": "assistant", "content": text(message.text)}
            if calls := [*map(dict, message.tool_calls), *map(_emptied, message.invalid_tool_calls)]:
                said["tool_calls"] = [_call(call, text) for call in calls]
            return said
        case _:
            raise EngineError(f"A message of type {type(message).__name__!r} cannot be sent to a model.")


def _parts(content: str | list[str | dict[Any, Any]], text: Callable[[str], str]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return text(content)
    parts: list[dict[str, Any]] = []
    for part in content:
        if isinstance(part, str):
            parts.append({"type": "text", "text": text(part)})
        elif part.get("type") == "text":
            parts.append({"type": "text", "text": text(part["text"])})
        else:
            # LangChain turns some of OpenAI's parts into blocks of its own on their way here
            parts.append(convert_to_openai_data_block(part) if is_data_content_block(part) else part)
    return parts


def _emptied(call: InvalidToolCall) -> dict[str, Any]:
    """Return a call whose arguments could not be read; it has to stand before the answer that says so."""
    return {"id": call["id"], "name": call["name"] or "unknown", "args": {}}


def _call(call: dict[str, Any], text: Callable[[str], str]) -> dict[str, Any]:
    arguments = json.dumps(plain_data(call["args"], text), ensure_ascii=False)
    return {"id": call["id"], "type": "function", "function": {"name": text(call["name"]), "arguments": arguments}}
