"""Error texts for invalid settings: name, value and allowed values."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qwendesk.errors import did_you_mean

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


def invalid_settings(problems: Sequence[str]) -> str:
    """Return the text for all problems of the settings, one per line if there are several."""
    if len(problems) == 1:
        return f"Invalid settings: {problems[0]}"
    return "\n".join([f"Invalid settings, {len(problems)} of them:", *(f"- {problem}" for problem in problems)])


def unreadable_variable(error: Exception) -> str:
    """Return the text for a variable that is not valid JSON."""
    found = re.search(r'field "(\w+)"', str(error))
    start = f"QWENDESK_{found[1]}".upper() if found else "QWENDESK_"
    given = [_given(name, value) for name, value in os.environ.items() if name.upper().startswith(start)]
    return (
        f"{' and '.join(given) or start}, and a list or a table has to be JSON in a variable, such as "
        '["a", "b"] or {"coder": "qwen3-4b-instruct-2507"}; in qwendesk.toml it is written as usual.'
    )


def _given(name: str, value: str) -> str:
    return f"{name} is {'set' if _may_be_secret(name.removeprefix('QWENDESK_')) else _short(value)}"


def _may_be_secret(name: str) -> bool:
    """Return whether a setting's value may be secret, as those of channels, servers and the database."""
    name = name.lower()
    if name.startswith("servers") and name.endswith("url"):
        return False
    return name.startswith(("channels", "servers", "database", "webhooks")) or any(word in name for word in _SECRET)


@dataclass(frozen=True, slots=True)
class SettingsErrors:
    """Writes the text of each invalid setting."""

    allowed: Mapping[str, str]
    """What a setting has to be, in words, where its kind of error does not tell; by the setting's name."""
    known: Callable[[Sequence[str | int]], Sequence[str]]
    """Returns the names of the settings in a table."""
    place: Callable[[Sequence[str | int]], str | None]
    """Returns the file and line that set a value; None if a variable or an argument does."""

    def texts(self, error: ValidationError) -> list[str]:
        """Return a text for each error that pydantic has found."""
        return [self._invalid(each) for each in error.errors()]

    def unknown(self, where: Sequence[str | int]) -> str:
        """Return the text for a setting that does not exist, with the closest name or all names."""
        names = self.known(where[:-1])
        meant = did_you_mean([str(where[-1])], names)
        listed = "" if meant or not names else f" Known: {', '.join(sorted(names))}."
        return f"There is no setting {self._both(where)}.{meant}{listed}"

    def _invalid(self, each: ErrorDetails) -> str:
        where = each["loc"][:-1] if each["loc"][-1:] == ("[key]",) else each["loc"]
        name = ".".join(map(str, where))
        value = "set" if _may_be_secret(name) else _short(each["input"])
        if each["type"] == "extra_forbidden":
            return self.unknown(where)
        if each["loc"] != where:
            return f"{self._both(where[:-1])} has {str(where[-1])!r}, which has to be {_wanted(each)}."
        wanted = self.allowed.get(name) if each["type"] == "string_pattern_mismatch" else None
        return f"{self._both(where)} is {value}, and has to be {wanted or _wanted(each)}."

    def _both(self, where: Sequence[str | int]) -> str:
        """Return a setting's name, and the file with its line or the environment variable that sets it."""
        name = ".".join(map(str, where))
        if not where or name.isupper():
            return name or "The settings"
        if place := self.place(where):
            return f"{name} ({place})"
        plain = "__".join(map(str, where)).upper()
        # some settings are read from variables of other programs as well
        variable = plain if plain in os.environ and f"QWENDESK_{plain}" not in os.environ else f"QWENDESK_{plain}"
        return f"{name} ({variable})"


def _wanted(each: ErrorDetails) -> str:
    context: dict[str, Any] = each.get("ctx", {})
    if each["type"] == "value_error":
        return str(context.get("error", each["msg"]))
    kind = _KINDS.get(each["type"])
    return kind.format(**context) if kind else f"otherwise: {each['msg']}"


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
