"""What each feature is called in a receipt."""

from __future__ import annotations

from qwendesk.agents.routing.features import NAMES
from qwendesk.agents.routing.patterns import PATTERNS

_KINDS = {
    "tech": "names of programming languages or tools",
    "code": "words of programming",
    "data": "words for files and data",
    "math": "words of mathematics",
    "how_many": "asks how many",
    "amounts": "counts, prices and shares",
    "reasons": "asks for reasons or steps",
    "puzzle": "words of a riddle",
    "weigh": "something to weigh or plan",
    "write": "asks for a text",
    "ask": "asks for a fact or an explanation",
    "assist": "an everyday errand",
    "service": "words of a customer",
    "talk": "small talk",
    "numbers": "numbers",
}
_SHAPES = {
    "length": "a long text",
    "very_short": "a short text",
    "labels": "numbers that name something",
    "numbers_count": "numbers",
    "numbers_density": "numbers",
    "many_numbers": "numbers",
    "capitals": "names",
    "repeated_names": "names",
    "count_numbers": "asks how many, of given numbers",
    "count_no_numbers": "asks how many, without numbers",
    "puzzle_numbers": "words of a riddle",
    "math_numbers": "words of mathematics",
    "math_no_numbers": "words of mathematics",
    "amounts_numbers": "counts, prices and shares",
    "code_data": "words of programming",
    "long_puzzle": "words of a riddle",
    "options_puzzle": "lettered options",
    "options_math": "lettered options",
}


def _reason(name: str) -> str:
    """Return a feature's reason; empty where it would tell a person nothing."""
    kind = name.removesuffix("_density").removesuffix("_first").removesuffix("_last")
    signs = {pattern.name: pattern.why for pattern in PATTERNS}
    return _SHAPES.get(name) or _KINDS.get(kind) or signs.get(kind, "")


MEANS = "what the whole text is about"
"""The reason of the numbers of meaning, together."""
REASONS: tuple[str, ...] = tuple(map(_reason, NAMES))
"""A reason for each feature, in the features' order."""
