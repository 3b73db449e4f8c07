"""Find what a message names beside the values that were called for, such as the second of two cities.

A small model calls for the first of several things and stops. What is left over is a reason to ask it for another call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from qwendesk.agents.checks.numbers import numbers_in
from qwendesk.search_terms import fold

_MAX_CHARS = 2000
"""Characters of a message that are searched."""
_LIST = re.compile(
    r"((?:[\w-]{1,40}[,、，] ?){0,20}[\w-]{1,40})"
    r"(?:[,、，]? ?(?:\b(?:and|or|und|oder|y|o|et|ou|e|и|или|en|och|og|i|ve|dan)\b|和|と|및) ?)"
    r"([\w-]{1,40})"
)
_EXPONENT = re.compile(r"\^\s?-?\d+|[²³]")
"""Part of a unit or a formula, such as ``m/s^2``."""
_SEPARATOR = re.compile(r"[,、，] ?")
_CODE = re.compile(r"(?<![\w.@/#-])[A-Z]{1,4}-?\d{2,12}(?:-\d{1,6})?(?![\w@/-])")
"""A code that identifies something, such as ``B-77``."""


@dataclass(frozen=True, slots=True)
class LeftOver:
    """Numbers, and words of enumerations, of which the calls hold some and not these."""

    numbers: frozenset[Fraction] = frozenset()
    words: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether anything is left over."""
        return bool(self.numbers or self.words)

    def is_in(self, arguments: Mapping[str, Any]) -> bool:
        """Return whether a call holds something of it."""
        values = [str(value) for value in _leaves(arguments)]
        return bool(self.numbers & _numbers(values)) or any(_holds(fold(" ".join(values)), word) for word in self.words)


def left_over(text: str, calls: Sequence[Mapping[str, Any]]) -> LeftOver:
    """Return what a message names beside the values of calls.

    Args:
        text: the message.
        calls: the arguments of the calls.
    """
    text = _EXPONENT.sub(" ", text[:_MAX_CHARS])
    values = [str(value) for arguments in calls for value in _leaves(arguments)]
    said = {abs(value) for number in numbers_in(text, None) if not number.is_part for value in list(number.values)[:1]}
    used = _numbers(values)
    words = set[str]()
    called = fold(" ".join(values))
    for found in _LIST.finditer(text):
        named = {fold(word) for word in (*_SEPARATOR.split(found[1]), found[2]) if word}
        missing = {word for word in named if not _holds(called, word)}
        words |= missing if missing < named else set()
    return LeftOver(frozenset(said - used if said & used else ()), frozenset(words))


def codes_in(text: str) -> frozenset[str]:
    """Return the codes of a message that identify something, such as an order's ``B-77``."""
    return frozenset(_CODE.findall(text[:_MAX_CHARS]))


def hold_code(arguments: Mapping[str, Any], codes: Iterable[str]) -> bool:
    """Return whether a value of a call has one of the codes."""
    values = [str(value) for value in _leaves(arguments)]
    return any(code in value for code in codes for value in values)


def _holds(text: str, word: str) -> bool:
    """Return whether a folded text has a word; scripts without spaces have it within others."""
    return bool(re.search(rf"(?<![a-z0-9]){re.escape(word)}(?![a-z0-9])", text))


def _numbers(values: Iterable[str]) -> set[Fraction]:
    """Return the numbers in the values of calls; 0.05 is 5 as well, for a percentage."""
    found = {abs(value) for one in values for number in numbers_in(one, None) for value in number.values}
    return found | {value * 100 for value in found}


def is_another_thing(arguments: Mapping[str, Any], earlier: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether a call of a tool differs from each earlier one of it in an argument that both have."""
    return all(any(key in other and other[key] != value for key, value in arguments.items()) for other in earlier)


def _leaves(value: Any) -> Iterable[Any]:
    """Yield the single values within lists and objects."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
