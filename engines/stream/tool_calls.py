"""Parse tool calls in Qwen's trained format and in the variants that small models write."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import json_repair

from qwendesk.engines.stream.tool_schema import coerce_to_schema

_SURROGATE = re.compile("[\ud800-\udfff]")
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*(?:"|(\\?\Z))|' r"'(?:\\.|[^'\\])*(?:'|(\\?\Z))|[{}\[\]]", re.S)
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|(?=<function=)|\Z)", re.S)
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.S)
_HEAD = re.compile(r"[\s\[{]{0,200}[\"']?(\w*)")
_NAME = re.compile(r"[\"']?\s*:?\s*[\"']?([\w./:-]*)")
_TAGS = ("<tool_call>", "<tools>", "<function=")
_NAME_KEYS = ("name", "tool", "tool_name", "function_name")
_ARGUMENT_KEYS = ("arguments", "parameters", "args", "input", "params", "kwargs", "tool_input")
_CALL_KEYS = frozenset({"function", "type", "id", "index", *_NAME_KEYS, *_ARGUMENT_KEYS})
"""The keys of a call; JSON with other keys, such as a description, is not a call."""
_SEPARATORS = re.compile(r"[./:\s-]+|__+")
_NAMESPACE = re.compile(r"[./:]+|__+")
_COUNTER = re.compile(r":\d+$")
_MAX_DEPTH = 64
"""Maximum nesting of lists and objects in arguments; later code recurses once or twice per level."""
_MAX_SHOWN_CHARS = 1000
_UNKNOWN_NAME = "unknown"
"""The name of a call without one; servers require a name."""
_MAX_ENCODINGS = 3
"""Maximum number of times that arguments may be encoded as JSON text within JSON text."""


@dataclass(frozen=True, slots=True)
class ParsedToolCall:
    """A tool call of a model."""

    name: str
    arguments_json: str
    """The arguments as the text of a JSON object; the model's own text if it could not be parsed."""


class ToolCallParser:
    """Parses complete blocks of text into calls of the given tools."""

    def __init__(self, tools: Sequence[dict[str, Any]]) -> None:
        functions = [tool.get("function", tool) for tool in tools]
        self._schemas = {f["name"]: f.get("parameters") or {} for f in functions if "name" in f}
        self._tools = {name: schema.get("properties", {}) for name, schema in self._schemas.items()}
        self._spelled = {_plain_name(name): name for name in self._tools}

    def repaired(self, call: ParsedToolCall, *, is_truncated: bool = False) -> ParsedToolCall:
        """Return a call that a server parsed, with the tool's own name and with an object as arguments.

        Args:
            call: the call, with the arguments as sent by the server.
            is_truncated: the answer was cut at its token limit, so that arguments without an end are not completed.
        """
        name, text = self.canonical_name(call.name) or _UNKNOWN_NAME, join_surrogates(call.arguments_json)
        if is_too_deep(text):
            return replace(call, name=name, arguments_json=json.dumps(text[:_MAX_SHOWN_CHARS]))
        if is_truncated and text.lstrip().startswith("{") and json_end(text) is None:
            return replace(call, name=name, arguments_json=json.dumps(text))
        return replace(call, name=name, arguments_json=self._string_arguments(name, text))

    def canonical_name(self, name: str) -> str:
        """Return the tool of a name that may differ in case and separators or have a namespace before it."""
        if name in self._tools:
            return name
        parts = _NAMESPACE.split(_COUNTER.sub("", name.strip()))
        ends = [_plain_name("_".join(parts[at:])) for at in range(len(parts))]
        return next((self._spelled[end] for end in ends if end in self._spelled), name)

    def is_tool(self, name: str) -> bool:
        """Return whether a name belongs to one of the tools."""
        return self.canonical_name(name) in self._tools

    def may_be_call(self, text: str) -> bool:
        """Return whether text with this beginning can be a call; False is final."""
        start = text.lstrip()
        if not start or start[0] == "<":
            return any(tag.startswith(start) or start.startswith(tag) for tag in _TAGS)
        if start[0] not in "{[":
            return False
        head = _HEAD.match(start)
        if not head or head.end() == len(start):
            return True
        if head[1] not in _CALL_KEYS:
            return False
        value = _NAME.match(start, head.end())
        if head[1] not in _NAME_KEYS or not value or value.end() == len(start):
            return True
        return self.canonical_name(value[1]) in self._tools

    def read(self, text: str, tagged: bool) -> list[ParsedToolCall]:
        """Return the calls in a block of text; an empty list if it is not a call.

        Args:
            text: the block, without tags or fence.
            tagged: the block was inside a tool call's tags, so that the conditions for a call are weaker.
        """
        if "<function=" in text:
            return [self._xml_call(*found.groups()) for found in _FUNCTION.finditer(text)]
        if not tagged and text.lstrip().startswith("<"):
            text, tagged = re.sub(r"</?(?:tool_call|tools)>", "\n", text), True
        found = [self._call(value, tagged) for value in _values(text)]
        calls = [call for call in found if call]
        return calls if len(calls) == len(found) or tagged else []

    def _call(self, value: Any, tagged: bool) -> ParsedToolCall | None:
        if not isinstance(value, dict):
            return None
        inner = value.get("function")
        if isinstance(inner, dict):
            value = {key: item for key, item in value.items() if key != "function"} | inner
        name = next((value[key] for key in (*_NAME_KEYS, "function") if isinstance(value.get(key), str)), None)
        strange = not value.keys() <= _CALL_KEYS or not any(key in value for key in _ARGUMENT_KEYS)
        if strange and (not tagged or "description" in value):
            return None
        if not name:
            return self._nameless(value) if tagged else None
        name = self.canonical_name(name)
        if not tagged and name not in self._tools:
            return None
        return ParsedToolCall(name, self._arguments(name, value))

    def _nameless(self, value: dict[str, Any]) -> ParsedToolCall | None:
        """Parse a call that consists of arguments only, if exactly one tool takes them."""
        inner = next((value[key] for key in _ARGUMENT_KEYS if isinstance(value.get(key), dict)), value)
        fitting = [name for name, properties in self._tools.items() if inner and inner.keys() <= properties.keys()]
        return ParsedToolCall(fitting[0], self._dump(fitting[0], inner)) if len(fitting) == 1 else None

    def _arguments(self, name: str, value: dict[str, Any]) -> str:
        key = next((key for key in _ARGUMENT_KEYS if self._wraps(key, name, value)), None)
        if key is None:
            wrapping = _CALL_KEYS - self._tools.get(name, {}).keys()
            return self._dump(name, {key: item for key, item in value.items() if key not in wrapping | {"name"}})
        given = value[key]
        if isinstance(given, str):
            return self._string_arguments(name, given)
        return self._dump(name, {} if given is None else given)

    def _wraps(self, key: str, name: str, value: dict[str, Any]) -> bool:
        """Return whether a key holds all arguments; a tool may have an argument of that name."""
        if key not in value:
            return False
        own = self._tools.get(name, {})
        if key in ("arguments", "parameters") or key not in own:
            return True
        return isinstance(value[key], dict) and bool(value[key]) and value[key].keys() <= own.keys()

    def _string_arguments(self, name: str, text: str) -> str:
        """Parse arguments given as a string: JSON, encoded once or repeatedly, or the tool's only argument."""
        if text.strip() in ("", "null", "None"):
            return "{}"
        if (read := _object(text)) is not None:
            return self._dump(name, read)
        properties = self._tools.get(name, {})
        return self._dump(name, {next(iter(properties)): text}) if len(properties) == 1 else text

    def _xml_call(self, name: str, body: str) -> ParsedToolCall:
        name = self.canonical_name(name)
        if body.lstrip().startswith("{"):
            read = next(_values(body), None)
            return ParsedToolCall(name, self._dump(name, read) if isinstance(read, dict) else body.strip())
        given = dict(_PARAMETER.findall(body))
        return ParsedToolCall(
            name, self._dump(name, given, quoted=False) if given or not body.strip() else body.strip()
        )

    def _dump(self, name: str, arguments: Any, *, quoted: bool = True) -> str:
        """Return arguments as JSON text, each in the type of the tool's schema."""
        if isinstance(arguments, dict):
            known, whole = self._tools.get(name, {}), self._schemas.get(name, {})
            arguments = {key: coerce_to_schema(item, known.get(key), whole, quoted) for key, item in arguments.items()}
        return join_surrogates(json.dumps(arguments, ensure_ascii=False, default=str))


def unreadable_call(block: str) -> ParsedToolCall:
    """Return the call for a block in a call's tags that cannot be parsed."""
    return ParsedToolCall(_UNKNOWN_NAME, json.dumps(block.strip()[:_MAX_SHOWN_CHARS]))


def _plain_name(name: str) -> str:
    """Return a tool's name in lower case and with one separator."""
    return _SEPARATORS.sub("_", name.strip()).lower()


def _object(text: str) -> dict[str, Any] | None:
    """Return the object in arguments given as text, decoded repeatedly if needed; None without an object."""
    value: Any = text
    for _ in range(_MAX_ENCODINGS):
        if not isinstance(value, str):
            break
        inner = _FENCE.sub("", value.strip())
        value = _loads(inner) if inner[:1] in ("{", "[") else _literal_text(inner)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else None


def _literal_text(text: str) -> Any:
    """Return the text within quotes; None for text without quotes."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text, strict=False) if read is json.loads else read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


def json_end(text: str, start: int = 0) -> int | None:
    """Return the end of the JSON value at or after ``start``; None if it is not complete."""
    depth = 0
    for token in _TOKEN.finditer(text, start):
        if token[0] in ("{", "["):
            depth += 1
        elif token[0] in ("}", "]"):
            depth -= 1
            if depth <= 0:
                return token.end()
    return None


def is_too_deep(text: str) -> bool:
    """Return whether JSON text nests lists and objects more deeply than is accepted."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > _MAX_DEPTH:
            return True
    return False


def in_string(text: str) -> bool:
    """Return whether JSON text ends inside a string."""
    return any(token[1] is not None or token[2] is not None for token in _TOKEN.finditer(text))


def _values(text: str) -> Iterator[Any]:
    """Yield the JSON values of a text, lists item by item; the last value may be incomplete."""
    at = 0
    while found := re.compile(r"[{\[]").search(text, at):
        at = json_end(text, found.start()) or len(text)
        value = _loads(text[found.start() : at])
        yield from value if isinstance(value, list) else [value]


def _loads(text: str) -> Any:
    """Parse JSON, a Python literal or broken JSON; None if all fail or it nests too deeply."""
    if is_too_deep(text):
        return None
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


def join_surrogates(text: str) -> str:
    """Return a text with each surrogate pair as one character."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
