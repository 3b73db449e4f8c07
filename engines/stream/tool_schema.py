"""Convert the arguments of a tool call to the types of the tool's JSON schema."""

from __future__ import annotations

import ast
import json
import math
from typing import Any

_ALL_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object", "null"})
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_JSON_TYPES = ((int, "integer"), (float, "number"), (str, "string"), (list, "array"), (dict, "object"))
_MAX_DEPTH = 8
"""Maximum depth to which references and unions of a schema are followed."""


def coerce_to_schema(value: Any, schema: Any, whole: dict[str, Any], quoted: bool = True, depth: int = 0) -> Any:
    """Return text as a value of a type that its schema allows; other values are returned unchanged.

    Models write numbers, booleans and lists as text: JSON or Python literals (``True``, ``None``, ``['a']``).

    Args:
        value: an argument, or a part of one.
        schema: the schema of the value.
        whole: the schema that its references point into.
        quoted: the text was quoted, so that it stays text if the schema allows a string.
        depth: the nesting depth within the argument.
    """
    if depth > _MAX_DEPTH or not isinstance(schema, dict):
        return value
    if isinstance(value, str):
        read = _from_text(value, allowed_types(schema, whole), quoted)
        return value if isinstance(read, str) else coerce_to_schema(read, schema, whole, depth=depth + 1)
    inner = _resolved(schema, whole)
    if isinstance(value, list):
        return [coerce_to_schema(item, inner.get("items"), whole, depth=depth + 1) for item in value]
    if isinstance(value, dict):
        known = inner.get("properties", {})
        return {key: coerce_to_schema(item, known.get(key), whole, depth=depth + 1) for key, item in value.items()}
    return value


def allowed_types(schema: Any, whole: dict[str, Any], depth: int = 0) -> frozenset[str]:
    """Return the JSON types that a schema allows; all types for a schema without a type."""
    if depth > _MAX_DEPTH or not isinstance(schema, dict):
        return _ALL_TYPES
    schema = _resolved(schema, whole)
    if values := schema.get("enum", [schema["const"]] if "const" in schema else None):
        return frozenset(map(type_of, values))
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return frozenset().union(*(allowed_types(one, whole, depth + 1) for one in either))
    named = schema.get("type")
    return frozenset([named] if isinstance(named, str) else named or _ALL_TYPES)


def type_of(value: Any) -> str:
    """Return the JSON type of a value."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    for kind, name in _JSON_TYPES:
        if isinstance(value, kind):
            return name
    return ""


def _from_text(text: str, types: frozenset[str], quoted: bool) -> Any:
    """Return the value of a text; the text itself if a string is meant."""
    if types in (_ALL_TYPES, frozenset({"string"})) or (quoted and "string" in types):
        return text
    read = _literal(text.strip())
    kind = type_of(read)
    fits = kind in types or (kind == "integer" and "number" in types)
    return read if fits else text


def _literal(text: str) -> Any:
    """Return the value of JSON or of a Python literal; other text is returned unchanged."""
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
    """Return the target of a reference such as ``#/$defs/Address``, or the only schema of ``allOf``."""
    for _ in range(_MAX_DEPTH):
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
