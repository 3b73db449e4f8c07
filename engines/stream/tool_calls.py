"""Read tool calls out of text, in the form Qwen was trained on and in the habits of small models."""

from __future__ import annotations

import ast
import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import json_repair

from qwendesk.engines.stream.surrogates import joined
from qwendesk.engines.stream.tool_schema import fitted

_TOKEN = re.compile(r'"(?:\\.|[^"\\])*(?:"|(\\?\Z))|' r"'(?:\\.|[^'\\])*(?:'|(\\?\Z))|[{}\[\]]", re.S)
_FUNCTION = re.compile(r"<function=([^>\s]+)>(.*?)(?:</function>|(?=<function=)|\Z)", re.S)
_FENCE = re.compile(r"^```\w*\s*|\s*```$")
_PARAMETER = re.compile(r"<parameter=([^>\s]+)>\n?(.*?)\n?(?:</parameter>|(?=<parameter=)|\Z)", re.S)
_HEAD = re.compile(r"[\s\[{]{0,200}[\"']?(\w*)")
_NAME = re.compile(r"[\"']?\s*:?\s*[\"']?([\w./:-]*)")
_TAGS = ("<tool_call>", "<tools>", "<function=")
_NAMES = ("name", "tool", "tool_name", "function_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "params", "kwargs", "tool_input")
_KEYS = frozenset({"function", "type", "id", "index", *_NAMES, *_ARGUMENTS})
"""All keys that a call may have; anything else beside them (such as a description) makes it another kind of JSON."""
_SEPARATORS = re.compile(r"[./:\s-]+|__+")
_NAMESPACE = re.compile(r"[./:]+|__+")
_COUNTER = re.compile(r":\d+$")
_DEEPEST = 64
"""Most lists and objects within each other in arguments: what handles them later calls itself once or twice a level."""
_LONGEST_SHOWN = 1000
_NAMELESS = "unknown"
"""The name of a call that has none: what is sent to a server needs one."""
_NESTED = 3
"""How often arguments may be encoded as JSON text within JSON text."""


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
        self._schemas = {f["name"]: f.get("parameters") or {} for f in functions if "name" in f}
        self._tools = {name: schema.get("properties", {}) for name, schema in self._schemas.items()}
        self._spelled = {_plain_name(name): name for name in self._tools}

    def mended(self, call: Call, *, cut: bool = False) -> Call:
        """Return a call that a server has read as its tool takes it: the name it has here, arguments as an object.

        Args:
            call: the call, its arguments as the server sent them.
            cut: the answer was cut at its token limit; arguments without an end are not completed then.
        """
        name, text = self.tool_named(call.name) or _NAMELESS, joined(call.arguments_json)
        if is_too_deep(text):
            return replace(call, name=name, arguments_json=json.dumps(text[:_LONGEST_SHOWN]))
        if cut and text.lstrip().startswith("{") and json_end(text) is None:
            return replace(call, name=name, arguments_json=json.dumps(text))
        return replace(call, name=name, arguments_json=self._string_arguments(name, text))

    def tool_named(self, name: str) -> str:
        """Return the tool that a name means: in another case, with other separators, or behind a namespace."""
        if name in self._tools:
            return name
        parts = _NAMESPACE.split(_COUNTER.sub("", name.strip()))
        ends = [_plain_name("_".join(parts[at:])) for at in range(len(parts))]
        return next((self._spelled[end] for end in ends if end in self._spelled), name)

    def is_tool(self, name: str) -> bool:
        """Tell whether a name means one of the tools."""
        return self.tool_named(name) in self._tools

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
        if head[1] not in _NAMES or not value or value.end() == len(start):
            return True
        return self.tool_named(value[1]) in self._tools

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
        name = next((value[key] for key in (*_NAMES, "function") if isinstance(value.get(key), str)), None)
        strange = not value.keys() <= _KEYS or not any(key in value for key in _ARGUMENTS)
        if strange and (not tagged or "description" in value):
            return None
        if not name:
            return self._nameless(value) if tagged else None
        name = self.tool_named(name)
        if not tagged and name not in self._tools:
            return None
        return Call(name, self._arguments(name, value))

    def _nameless(self, value: dict[str, Any]) -> Call | None:
        """Read a call that has its arguments only, if they fit just one tool."""
        inner = next((value[key] for key in _ARGUMENTS if isinstance(value.get(key), dict)), value)
        fitting = [name for name, properties in self._tools.items() if inner and inner.keys() <= properties.keys()]
        return Call(fitting[0], self._dump(fitting[0], inner)) if len(fitting) == 1 else None

    def _arguments(self, name: str, value: dict[str, Any]) -> str:
        key = next((key for key in _ARGUMENTS if self._wraps(key, name, value)), None)
        if key is None:
            wrapping = _KEYS - self._tools.get(name, {}).keys()
            return self._dump(name, {key: item for key, item in value.items() if key not in wrapping | {"name"}})
        given = value[key]
        if isinstance(given, str):
            return self._string_arguments(name, given)
        return self._dump(name, {} if given is None else given)

    def _wraps(self, key: str, name: str, value: dict[str, Any]) -> bool:
        """Tell whether a key holds all arguments; the tool may have an argument of that name."""
        if key not in value:
            return False
        own = self._tools.get(name, {})
        if key in ("arguments", "parameters") or key not in own:
            return True
        return isinstance(value[key], dict) and bool(value[key]) and value[key].keys() <= own.keys()

    def _string_arguments(self, name: str, text: str) -> str:
        """Read arguments given as a string: JSON inside, once or more often, or the only argument of the tool."""
        if text.strip() in ("", "null", "None"):
            return "{}"
        if (read := _object(text)) is not None:
            return self._dump(name, read)
        properties = self._tools.get(name, {})
        return self._dump(name, {next(iter(properties)): text}) if len(properties) == 1 else text

    def _xml_call(self, name: str, body: str) -> Call:
        name = self.tool_named(name)
        if body.lstrip().startswith("{"):
            read = next(_values(body), None)
            return Call(name, self._dump(name, read) if isinstance(read, dict) else body.strip())
        given = dict(_PARAMETER.findall(body))
        return Call(name, self._dump(name, given, quoted=False) if given or not body.strip() else body.strip())

    def _dump(self, name: str, arguments: Any, *, quoted: bool = True) -> str:
        """Return arguments as JSON text, each in the type that the tool's schema asks for."""
        if isinstance(arguments, dict):
            known, whole = self._tools.get(name, {}), self._schemas.get(name, {})
            arguments = {key: fitted(item, known.get(key), whole, quoted) for key, item in arguments.items()}
        return joined(json.dumps(arguments, ensure_ascii=False, default=str))


def unreadable(block: str) -> Call:
    """Return the call that a block in a call's tags stands for where nothing can be read in it."""
    return Call(_NAMELESS, json.dumps(block.strip()[:_LONGEST_SHOWN]))


def _plain_name(name: str) -> str:
    """Return a tool's name in one case and with one separator."""
    return _SEPARATORS.sub("_", name.strip()).lower()


def _object(text: str) -> dict[str, Any] | None:
    """Return the object that arguments given as text hold, however often they were encoded; None where none."""
    value: Any = text
    for _ in range(_NESTED):
        if not isinstance(value, str):
            break
        inner = _FENCE.sub("", value.strip())
        value = _loads(inner) if inner[:1] in ("{", "[") else _literal_text(inner)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, dict) else None


def _literal_text(text: str) -> Any:
    """Return the text within quotes; None where the text is not in quotes."""
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text, strict=False) if read is json.loads else read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    return None


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


def is_too_deep(text: str) -> bool:
    """Tell whether more lists and objects lie within each other in JSON text than are read."""
    depth = 0
    for token in _TOKEN.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token[0], 0)
        if depth > _DEEPEST:
            return True
    return False


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
    """Read JSON, a Python literal or broken JSON; None if it is none of these, or nests too deeply."""
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
