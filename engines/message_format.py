"""Convert messages and tools to OpenAI's format, with control tokens in foreign text made harmless.

Text of users, documents and tools must not be able to act as the system. It is compared with control tokens as a
server may read it: in Unicode's NFKC form and without invisible characters. The beginning of a control token at the
end of a text counts as one, because other text may follow it directly.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import zip_longest
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

from qwendesk.errors import EngineError

_TAG_NAMES = (
    "think|tool_call|tool_response|tools|function|parameter|img|imgpad|ref|box|quad|"
    "tts_pad|tts_text_bos|tts_text_eod|tts_text_bos_single"
)
_NAME_CHARS = 64
CONTROL_TOKEN = re.compile(
    rf"<\|[^\s<>|]{{1,{_NAME_CHARS}}}\|>|</?(?:{_TAG_NAMES})>|<(?:function|parameter)=[^<>\n]{{0,{_NAME_CHARS}}}>"
)
"""The strings with a special meaning for the tokenizers and templates of Qwen models."""
_UNFINISHED = re.compile(
    rf"<(?:\|(?:[^\s<>|]{{1,{_NAME_CHARS}}}\|?)?|/?[a-z_]{{0,20}}|(?:function|parameter)=[^<>\n]{{0,{_NAME_CHARS}}})\Z"
)
"""The beginning of a control token at the end of a text."""
_MAX_TOKEN_CHARS = _NAME_CHARS + 16
"""Maximum number of characters of a control token."""
_ZERO_WIDTH_SPACE = "\u200b"
_MARK_START, _MARK_END = "\ue000", "\ue001"
_MARK = re.compile(f"{_MARK_START}((?:[0-9a-f]{{2}})+){_MARK_END}")
_CANDIDATE = re.compile(r"[<\uff1c\ufe64][^<\uff1c\ufe64\ue000\ue001]*|[\ue000\ue001]")
"""From one ``<`` in any form to the next one, or a character that ``mark_control_tokens`` uses."""
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
_TOOLS_HEAD = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
"""
_TOOLS_TAIL = """
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call>"""
OpenAIMessage = dict[str, Any]
"""A message in OpenAI's format, with control tokens made harmless."""


def break_control_tokens(text: str) -> str:
    """Break each control token with an invisible space, for an engine whose server tokenizes the text.

    A variant, such as one in full-width letters or with invisible characters, is broken with a visible space.
    """
    return _replaced(text, _broken)


def mark_control_tokens(text: str) -> str:
    """Replace each control token by a marker that a chat template leaves alone; ``split_marks`` restores it.

    The marker contains the token itself, in hexadecimal between two private-use characters, so that no table of
    markers is needed.
    """
    return _replaced(text, lambda found: f"{_MARK_START}{found.encode(errors='replace').hex()}{_MARK_END}")


def split_marks(prompt: str) -> list[tuple[str, bool]]:
    """Split a rendered prompt into parts; those marked True must be tokenized without special tokens."""
    texts, plain = _MARK.split(prompt)[::2], _MARK.findall(prompt)
    parts = []
    for text, code in zip_longest(texts, plain):
        parts += [(text, False)] if text else []
        parts += [(bytes.fromhex(code).decode(errors="replace"), True)] if code else []
    return parts


def map_strings(value: Any, text: Callable[[str], str]) -> Any:
    """Return JSON-like data, such as a tool's schema, with ``text`` applied to all strings and keys."""
    match value:
        case str():
            return text(value)
        case Mapping():
            return {text(key) if isinstance(key, str) else key: map_strings(item, text) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [map_strings(item, text) for item in value]
        case _:
            return value


def _broken(found: str) -> str:
    # already broken: a model may repeat such text in its next answers
    if found[0] in (_MARK_START, _MARK_END) or found[1:2] == _ZERO_WIDTH_SPACE:
        return found
    # a server that normalises a variant may also remove invisible characters
    return f"{found[0]}{_ZERO_WIDTH_SPACE if found.isascii() else ' '}{found[1:]}"


def _replaced(text: str, replace: Callable[[str], str]) -> str:
    if not _CANDIDATE.search(text):
        return text
    pieces, done = [], 0
    for start, end in _control_strings(text):
        pieces += [text[done:start], replace(text[start:end])]
        done = end
    return "".join([*pieces, text[done:]])


def _control_strings(text: str) -> Iterator[tuple[int, int]]:
    """Yield start and end of the control tokens and of the characters that ``mark_control_tokens`` uses."""
    for candidate in _CANDIDATE.finditer(text):
        start, end = candidate.span()
        if candidate[0] in (_MARK_START, _MARK_END):
            yield start, end
        elif length := _control_length(candidate[0], at_end=end == len(text)):
            yield start, start + length


def _control_length(text: str, *, at_end: bool) -> int:
    """Return the length of the control token at the beginning of the text; 0 without one."""
    folded, ends = "", []
    for place, char in enumerate(text, 1):
        visible = _folded(char)
        folded += visible
        ends += [place] * len(visible)
        if len(folded) > _MAX_TOKEN_CHARS or ">" in visible:
            break
    else:
        if at_end and _UNFINISHED.match(folded):
            return len(text)
    found = CONTROL_TOKEN.match(folded)
    return ends[found.end() - 1] if found else 0


def _folded(char: str) -> str:
    """Return a character in NFKC form; an empty string for an invisible one."""
    return char if char.isascii() else _fold(char)


@lru_cache(maxsize=4096)
def _fold(char: str) -> str:
    is_hidden = (
        char in _INVISIBLE
        or unicodedata.category(char) == "Cf"
        or unicodedata.name(char, "").startswith(("VARIATION SELECTOR", "MONGOLIAN FREE VARIATION"))
    )
    return "" if is_hidden else unicodedata.normalize("NFKC", char)


def openai_messages(messages: list[BaseMessage], *, text: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return the messages as dicts in OpenAI's format, without their thinking.

    Args:
        messages: the conversation.
        text: applied to the text of every role; it must make control tokens harmless. System messages are included,
            because they contain text of users as well.
    """
    return [_message(message, text) for message in messages]


def openai_tools(tools: Sequence[dict[str, Any]], *, text: Callable[[str], str]) -> list[dict[str, Any]]:
    """Return tool schemas with ``text`` applied to all their names and descriptions."""
    return [map_strings(tool, text) for tool in tools]


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
            if calls := [*map(dict, message.tool_calls), *map(_unreadable_call, message.invalid_tool_calls)]:
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
            # LangChain converts some of OpenAI's parts into its own blocks
            parts.append(convert_to_openai_data_block(part) if is_data_content_block(part) else part)
    return parts


def _unreadable_call(call: InvalidToolCall) -> dict[str, Any]:
    """Return an empty call for one that could not be parsed, as its tool message needs a call before it."""
    return {"id": call["id"], "name": call["name"] or "unknown", "args": {}}


def _call(call: dict[str, Any], text: Callable[[str], str]) -> dict[str, Any]:
    arguments = json.dumps(map_strings(call["args"], text), ensure_ascii=False)
    return {"id": call["id"], "type": "function", "function": {"name": text(call["name"]), "arguments": arguments}}


def write_tools_as_text(messages: Sequence[OpenAIMessage], tools: Sequence[dict[str, Any]]) -> list[OpenAIMessage]:
    """Return the messages with tools, calls and results written as text, for a server without tool support.

    Args:
        messages: a conversation; its calls and results are rewritten even if ``tools`` is empty.
        tools: schemas in OpenAI's format.
    """
    written: list[OpenAIMessage] = []
    for message in messages:
        if message["role"] == "tool":
            _add_result(written, f"<tool_response>\n{message['content']}\n</tool_response>")
        else:
            written.append(_with_calls_as_text(message))
    return _with_system(written, tools_prompt(tools)) if tools else written


def tools_prompt(tools: Sequence[dict[str, Any]]) -> str:
    """Return the part of the system prompt that describes the tools."""
    lines = (json.dumps(tool, ensure_ascii=False) for tool in openai_tools(tools, text=break_control_tokens))
    return _TOOLS_HEAD + "\n".join(lines) + _TOOLS_TAIL


def _with_calls_as_text(message: OpenAIMessage) -> OpenAIMessage:
    calls = [_call_text(call["function"]) for call in message.get("tool_calls", ())]
    if not calls:
        return message
    said = [message["content"]] if message["content"] else []
    return {"role": message["role"], "content": "\n".join([*said, *calls])}


def _call_text(function: dict[str, str]) -> str:
    # the arguments are JSON already, the name is not
    name = json.dumps(function["name"], ensure_ascii=False)
    return f'<tool_call>\n{{"name": {name}, "arguments": {function["arguments"]}}}\n</tool_call>'


def _add_result(written: list[OpenAIMessage], text: str) -> None:
    """Add a result; consecutive results become one message, as in the model's template."""
    if written and written[-1].get("results"):
        written[-1] = written[-1] | {"content": f"{written[-1]['content']}\n{text}"}
    else:
        written.append({"role": "user", "content": text, "results": True})


def _with_system(messages: list[OpenAIMessage], text: str) -> list[OpenAIMessage]:
    if messages and messages[0]["role"] == "system":
        first = messages[0] | {"content": f"{messages[0]['content']}\n\n{text}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
