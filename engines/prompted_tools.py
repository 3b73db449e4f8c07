"""Tools for a model whose server does not offer them any: told in the prompt, in the words Qwen was trained on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qwendesk.engines.plain_text import defuse
from qwendesk.engines.wire import openai_tools

_BEFORE = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_BEHIND = """
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""

Wire = dict[str, Any]
"""A message in OpenAI's form, its foreign text already made plain."""


def tell_tools(messages: Sequence[Wire], tools: Sequence[dict[str, Any]]) -> list[Wire]:
    """Return the messages with tools, calls and results written out as text, for a server that takes none of them.

    Args:
        messages: a conversation; calls and results in it are rewritten even where no tools are given any more.
        tools: schemas in OpenAI's form.
    """
    told: list[Wire] = []
    for message in messages:
        if message["role"] == "tool":
            _add_result(told, f"<tool_response>\n{message['content']}\n</tool_response>")
        else:
            told.append(_spoken(message))
    return _with_system(told, tools_text(tools)) if tools else told


def tools_text(tools: Sequence[dict[str, Any]]) -> str:
    """Return the part of the system text that describes the tools."""
    lines = (json.dumps(tool, ensure_ascii=False) for tool in openai_tools(tools, text=defuse))
    return _BEFORE + "\n".join(lines) + _BEHIND


def _spoken(message: Wire) -> Wire:
    calls = [_call_text(call["function"]) for call in message.get("tool_calls", ())]
    if not calls:
        return message
    said = [message["content"]] if message["content"] else []
    return {"role": message["role"], "content": "\n".join([*said, *calls])}


def _call_text(function: dict[str, str]) -> str:
    # the arguments are JSON already; the name alone has to become it
    name = json.dumps(function["name"], ensure_ascii=False)
    return f'<tool_call>\n{{"name": {name}, "arguments": {function["arguments"]}}}\n</tool_call>'


def _add_result(told: list[Wire], text: str) -> None:
    """Add a result; several in a row become one message, as in the model's own template."""
    if told and told[-1].get("results"):
        told[-1] = told[-1] | {"content": f"{told[-1]['content']}\n{text}"}
    else:
        told.append({"role": "user", "content": text, "results": True})


def _with_system(messages: list[Wire], text: str) -> list[Wire]:
    if messages and messages[0]["role"] == "system":
        first = messages[0] | {"content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
