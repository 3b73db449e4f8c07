"""Keep control tokens in text that the program did not write plain, so that no text can speak as the system.

A text is looked at as a server may see it: in Unicode's NFKC form and without invisible characters. A beginning of a
control token at the end of a text counts as one, because another text may be written right behind it.
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

_NAMES = (
    "think|tool_call|tool_response|tools|function|parameter|img|imgpad|ref|box|quad|"
    "tts_pad|tts_text_bos|tts_text_eod|tts_text_bos_single"
)

_LONGEST = 64

CONTROL_TOKEN = re.compile(
    rf"<\|[^\s<>|]{{1,{_LONGEST}}}\|>|</?(?:{_NAMES})>|<(?:function|parameter)=[^<>\n]{{0,{_LONGEST}}}>"
)

"""Every string that a Qwen's tokenizer or template gives a meaning of its own."""

_UNFINISHED = re.compile(
    rf"<(?:\|(?:[^\s<>|]{{1,{_LONGEST}}}\|?)?|/?[a-z_]{{0,20}}|(?:function|parameter)=[^<>\n]{{0,{_LONGEST}}})\Z"
)

"""What a control token may begin with, at the end of a text."""

_FOLDED_CHARS = _LONGEST + 16

"""Characters after which nothing is a control token any more."""


_BREAK = "\u200b"

_START, _END = "\ue000", "\ue001"

_MARK = re.compile(f"{_START}((?:[0-9a-f]{{2}})+){_END}")

_CANDIDATE = re.compile(r"[<\uff1c\ufe64][^<\uff1c\ufe64\ue000\ue001]*|[\ue000\ue001]")

"""From one ``<`` in any form to before the next, or one of the characters that ``mark`` uses."""

_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")


def defuse(text: str) -> str:
    """Break each control string with an invisible space, for an engine that takes only text.

    A variant, such as one in full-width letters or with an invisible character in it, is broken with a space.
    """
    return _replaced(text, _broken)


def mark(text: str) -> str:
    """Replace each control string by a sentinel that survives a chat template; ``split_marks`` brings it back.

    The sentinel holds the string itself, in hexadecimal between two private-use characters, so that prompts made
    of many texts need no table beside them.
    """
    return _replaced(text, lambda found: f"{_START}{found.encode(errors='replace').hex()}{_END}")


def split_marks(prompt: str) -> list[tuple[str, bool]]:
    """Cut a rendered prompt into parts; those that are True must be tokenised without special tokens."""
    texts, plain = _MARK.split(prompt)[::2], _MARK.findall(prompt)
    parts = []
    for text, code in zip_longest(texts, plain):
        parts += [(text, False)] if text else []
        parts += [(bytes.fromhex(code).decode(errors="replace"), True)] if code else []
    return parts


def plain_data(value: Any, text: Callable[[str], str]) -> Any:
    """Return JSON-like data, such as a tool's schema, with ``text`` applied to every string and key in it."""
    match value:
        case str():
            return text(value)
        case Mapping():
            return {text(key) if isinstance(key, str) else key: plain_data(item, text) for key, item in value.items()}
        case Sequence() if not isinstance(value, bytes | bytearray):
            return [plain_data(item, text) for item in value]
        case _:
            return value


def _broken(found: str) -> str:
    # what has been broken already stays as it is: a model may repeat it, turn after turn
    if found[0] in (_START, _END) or found[1:2] == _BREAK:
        return found
    # a variant works only where somebody normalises it, and invisible characters may go there
    return f"{found[0]}{_BREAK if found.isascii() else ' '}{found[1:]}"


def _replaced(text: str, replace: Callable[[str], str]) -> str:
    if not _CANDIDATE.search(text):
        return text
    pieces, done = [], 0
    for start, end in _control_strings(text):
        pieces += [text[done:start], replace(text[start:end])]
        done = end
    return "".join([*pieces, text[done:]])


def _control_strings(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the control strings, and the characters that ``mark`` uses, begin and end."""
    for candidate in _CANDIDATE.finditer(text):
        start, end = candidate.span()
        if candidate[0] in (_START, _END):
            yield start, end
        elif length := _control_length(candidate[0], at_end=end == len(text)):
            yield start, start + length


def _control_length(text: str, *, at_end: bool) -> int:
    """Return how many characters of the text are a control string at its beginning; 0 where there is none."""
    folded, ends = "", []
    for place, char in enumerate(text, 1):
        visible = _folded(char)
        folded += visible
        ends += [place] * len(visible)
        if len(folded) > _FOLDED_CHARS or ">" in visible:
            break
    else:
        if at_end and _UNFINISHED.match(folded):
            return len(text)
    found = CONTROL_TOKEN.match(folded)
    return ends[found.end() - 1] if found else 0


def _folded(char: str) -> str:
    """Return a character in NFKC form; nothing for one that is not shown."""
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
