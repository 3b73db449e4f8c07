"""Read tool calls out of text, in the form Qwen was trained on and in the habits of small models."""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import json_repair

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*(?:"|(\\?\Z))|' r"'(?:\\.|[^'\\])*(?:'|(\\?\Z))|[{}\[\]]", re.S)
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|(?=<function=)|\Z)", re.S)
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.S)
_HEAD = re.compile(r"[\s\[{]*[\"']?(\w*)")
_NAME = re.compile(r"[\"']?\s*:?\s*[\"']?([\w.-]*)")
_TAGS = ("<tool_call>", "<tools>", "<function=")
_ARGUMENTS = ("arguments", "parameters")
_KEYS = frozenset({"name", "function", "type", "id", "index", *_ARGUMENTS})
"""All keys that a call may have; anything else beside them (such as a description) makes it another kind of JSON."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool, as a model asked for it."""

    name: str
    arguments_json: str
    """The arguments as the text of a JSON object; the model's own text where it could not be read."""
    id: str = field(default_factory=lambda: f"call_{uuid.uuid4().hex}")


class CallParser:
    """Turns complete pieces of text into calls of the given tools."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        functions = [tool.get("function", tool) for tool in tools]
        self._tools = {f["name"]: f.get("parameters", {}).get("properties", {}) for f in functions if "name" in f}

    def may_be_call(self, text: str) -> bool:
        """Tell whether text that begins like this may still become a call; False is final."""
        start = text.lstrip()
        if not start or start[0] == "<":
            return any(tag.startswith(start) or start.startswith(tag) for tag in _TAGS)
        if start[0] not in "{[":
            return False
        head = _HEAD.match(start)
        if not head or head.end() == len(start):
            return True
        if head[1] not in _KEYS:
            return False
        value = _NAME.match(start, head.end())
        return head[1] != "name" or not value or value.end() == len(start) or value[1] in self._tools

    def read(self, text: str, tagged: bool) -> list[Call]:
        """Return the calls in a block of text; none if it is something else.

        Args:
            text: the block, without its tags or its fence.
            tagged: it stood in a tool call's tags, so that it needs less to count as a call.
        """
        if "<function=" in text:
            return [self._xml_call(*found.groups()) for found in _FUNCTION.finditer(text)]
        if not tagged and text.lstrip().startswith("<"):
            text, tagged = re.sub(r"</?(?:tool_call|tools)>", "\n", text), True
        found = [self._call(value, tagged) for value in _values(text)]
        calls = [call for call in found if call]
        return calls if len(calls) == len(found) or tagged else []

    def _call(self, value: Any, tagged: bool) -> Call | None:
        if not isinstance(value, dict):
            return None
        inner = value.get("function")
        if isinstance(inner, dict):
            value = {key: item for key, item in value.items() if key != "function"} | inner
        name = inner if isinstance(inner, str) and "name" not in value else value.get("name")
        strange = not value.keys() <= _KEYS or not any(key in value for key in _ARGUMENTS)
        if strange and (not tagged or "description" in value):
            return None
        if not isinstance(name, str) or not name:
            return self._nameless(value) if tagged else None
        if not tagged and name not in self._tools:
            return None
        return Call(name, self._arguments(name, value))

    def _nameless(self, value: dict[str, Any]) -> Call | None:
        """Read a call that has its arguments only, if they fit just one tool."""
        inner = next((value[key] for key in _ARGUMENTS if isinstance(value.get(key), dict)), value)
        fitting = [name for name, properties in self._tools.items() if inner and inner.keys() <= properties.keys()]
        return Call(fitting[0], _dump(inner)) if len(fitting) == 1 else None

    def _arguments(self, name: str, value: dict[str, Any]) -> str:
        key = next((key for key in _ARGUMENTS if key in value), None)
        if key is None:
            return _dump({key: item for key, item in value.items() if key not in _KEYS})
        given = value[key]
        if isinstance(given, str):
            return self._string_arguments(name, given)
        return _dump({} if given is None else given)

    def _string_arguments(self, name: str, text: str) -> str:
        """Read arguments given as a string: JSON inside, or the only argument that the tool takes."""
        if text.lstrip().startswith("{") and isinstance(read := _loads(text), dict):
            return _dump(read)
        properties = self._tools.get(name, {})
        if len(properties) == 1:
            return _dump({next(iter(properties)): text})
        return text or "{}"

    def _xml_call(self, name: str, body: str) -> Call:
        if body.lstrip().startswith("{"):
            read = next(_values(body), None)
            return Call(name, _dump(read) if isinstance(read, dict) else body.strip())
        properties = self._tools.get(name, {})
        given = {key: _typed(text, properties.get(key, {})) for key, text in _PARAMETER.findall(body)}
        return Call(name, _dump(given) if given or not body.strip() else body.strip())


def json_end(text: str, start: int = 0) -> int | None:
    """Return where the JSON value that begins at or after ``start`` ends; None while it is open."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in ("{", "["):
            depth += 1
        elif token[0] in ("}", "]"):
            depth -= 1
            if depth <= 0:
                return token.end()
    return None


def in_string(text: str) -> bool:
    """Tell whether JSON text ends within a string."""
    return any(token[1] is not None or token[2] is not None for token in _TOKEN.finditer(text))


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, lists taken apart; the last one may be broken off."""
    at = 0
    while found := re.compile(r"[{\[]").search(text, at):
        at = json_end(text, found.start()) or len(text)
        value = _loads(text[found.start() : at])
        yield from value if isinstance(value, list) else [value]


def _loads(text: str) -> Any:
    """Read JSON, a Python literal or broken JSON; None if it is none of these."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        pass
    try:
        return json_repair.loads(text.rstrip().rstrip("`"), skip_json_loads=True)
    except (ValueError, RecursionError):
        return None


def _typed(text: str, schema: dict[str, Any]) -> Any:
    if schema.get("type", "string") == "string" and "anyOf" not in schema:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
