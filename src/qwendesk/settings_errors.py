"""Error texts for invalid settings: name, value and allowed values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

_KINDS: dict[str, str] = {
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "string_type": "a text",
    "path_type": "a path",
    "dict_type": "a table",
    "model_type": "a table",
    "tuple_type": "a list",
    "string_too_short": "a text that is not empty",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} or more",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} or less",
    "literal_error": "{expected}",
}
"""Expected value by pydantic error type."""
_SECRET = ("key", "password", "secret")
_SHOWN = 80
"""Maximum characters of a value in an error text."""


def invalid_settings(error: ValidationError, allowed: Callable[[str], str | None]) -> str:
    """Return a text with all errors of the settings.

    Args:
        error: what pydantic has found.
        allowed: tells in words what a setting has to be, where its kind of error does not; by the setting's name.
    """
    return " ".join(_invalid_setting(each, allowed) for each in error.errors())


def unreadable_variable(error: Exception) -> str:
    """Return the text for a variable that is not valid JSON."""
    found = re.search(r'field "(\w+)"', str(error))
    start = f"QWENDESK_{found[1]}".upper() if found else "QWENDESK_"
    given = [_given(name, value) for name, value in os.environ.items() if name.upper().startswith(start)]
    return (
        f"{' and '.join(given) or start}, and a list or a table has to be JSON in a variable, such as "
        '["a", "b"] or {"coder": "qwen3-4b"}; in qwendesk.toml it is written as usual.'
    )


def _given(name: str, value: str) -> str:
    return f"{name} is {'set' if _may_be_secret(name.removeprefix('QWENDESK_')) else _short(value)}"


def _may_be_secret(name: str) -> bool:
    """Return whether a setting's value may be secret, as those of channels, servers and the database."""
    name = name.lower()
    if name.startswith("servers") and name.endswith("url"):
        return False
    return name.startswith(("channels", "servers", "database")) or any(word in name for word in _SECRET)


def _invalid_setting(each: ErrorDetails, allowed: Callable[[str], str | None]) -> str:
    where = each["loc"][:-1] if each["loc"][-1:] == ("[key]",) else each["loc"]
    name = ".".join(map(str, where))
    value = "set" if _may_be_secret(name) else _short(each["input"])
    if each["type"] == "extra_forbidden":
        return f"There is no setting {_both(where)}."
    if each["loc"] != where:
        return f"{_both(where[:-1])} has {str(where[-1])!r}, which has to be {_wanted(each)}."
    wanted = allowed(name) if each["type"] == "string_pattern_mismatch" else None
    return f"{_both(where)} is {value}, and has to be {wanted or _wanted(each)}."


def _wanted(each: ErrorDetails) -> str:
    context: dict[str, Any] = each.get("ctx", {})
    if each["type"] == "value_error":
        return str(context.get("error", each["msg"]))
    kind = _KINDS.get(each["type"])
    return kind.format(**context) if kind else f"otherwise: {each['msg']}"


def _both(where: Iterable[Any]) -> str:
    """Return a setting's name in a file and its environment variable."""
    parts = [str(part) for part in where]
    name = ".".join(parts)
    if not parts or name.isupper():
        return name or "The settings"
    plain = "__".join(parts).upper()
    # some settings are read from variables of other programs as well
    variable = plain if plain in os.environ and f"QWENDESK_{plain}" not in os.environ else f"QWENDESK_{plain}"
    return f"{name} ({variable})"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
