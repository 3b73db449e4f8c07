"""Bring the arguments of a tool call into the types that the tool's JSON schema asks for."""

from __future__ import annotations

import ast
import json
import math
from typing import Any

_ALL = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_KINDS = ((int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
_DEEPEST = 8
"""How deep references and unions of a schema are followed."""


def fitted(value: Any, schema: Any, whole: dict[str, Any], quoted: bool = True, depth: int = 0) -> Any:
    """Return a value in a type that its schema allows, where it is text for such a value; else unchanged.

    Models write values of other types as text: JSON, or the literals of Python (``True``, ``None``, ``['a']``).

    Args:
        value: one argument, or a part of one.
        schema: the argument's schema.
        whole: the schema that references in it point into.
        quoted: text was marked as text, so that it stays text wherever the schema allows that.
        depth: how deep it lies within an argument.
    """
    if depth > _DEEPEST or not isinstance(schema, dict):
        return value
    if isinstance(value, str):
        read = _from_text(value, allowed_types(schema, whole), quoted)
        return value if isinstance(read, str) else fitted(read, schema, whole, depth=depth + 1)
    inner = _resolved(schema, whole)
    if isinstance(value, list):
        return [fitted(item, inner.get("items"), whole, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        known = inner.get("properties", {})
        return {key: fitted(item, known.get(key), whole, depth=depth + 1) for key, item in value.items()}
    return value


def allowed_types(schema: Any, whole: dict[str, Any], depth: int = 0) -> frozenset[str]:
    """Return the JSON types that a schema allows; all of them where it does not say."""
    if depth > _DEEPEST or not isinstance(schema, dict):
        return _ALL
    schema = _resolved(schema, whole)
    if values := schema.get("enum", [schema["const"]] if "const" in schema else None):
        return frozenset(map(type_of, values))
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return frozenset().union(*(allowed_types(one, whole, depth + 1) for one in either))
    named = schema.get("type")
    return frozenset([named] if isinstance(named, str) else named or _ALL)


def type_of(value: Any) -> str:
    """Return the JSON type of a value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return ""


def _from_text(text: str, types: frozenset[str], quoted: bool) -> Any:
    """Return the value that a text stands for; the text itself where a string is meant."""
    if types in (_ALL, frozenset({"string"})) or (quoted and "string" in types):
        return text
    read = _literal(text.strip())
    kind = type_of(read)
    fits = kind in types or (kind == "integer" and "number" in types)
    return read if fits else text


def _literal(text: str) -> Any:
    """Return the value of JSON or of a Python literal; the text where it is neither."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
        value = list(value) if isinstance(value, set | tuple) else value
        return text if isinstance(value, float) and not math.isfinite(value) else value
    return text


def _resolved(schema: dict[str, Any], whole: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference such as ``#/$defs/Guest`` points to, or the one schema of ``allOf``."""
    for _ in range(_DEEPEST):
        if isinstance(path := schema.get("$ref"), str) and path.startswith("#/"):
            found: Any = whole
            for name in path[2:].split("/"):
                found = found.get(name, {}) if isinstance(found, dict) else {}
            schema = found if isinstance(found, dict) else {}
        elif isinstance(parts := schema.get("allOf"), list) and len(parts) == 1 and isinstance(parts[0], dict):
            schema = parts[0]
        else:
            break
    return schema
