"""Tell whether a difference between the sides of an equation may come from another meaning of the text."""

from __future__ import annotations

import re
from fractions import Fraction

from qwendesk.agents.checks.equation_tokens import (
    CONVENTIONS,
    FIRST_DENSE,
    Token,
    decimals_of,
    equation_words,
    number_value,
)
from qwendesk.agents.checks.equations import Equation
from qwendesk.tools.number_formats import Convention, convention_of

_MAX_SENTENCE_CHARS = 300
_NEAR_WORDS = 3
SENTENCE_END = re.compile(r"[.!?](?=\s|$|\*)|[。！？؟।]|\n")


def has_other_meaning(equation: Equation, convention: Convention, text: str, language: str | None) -> bool:
    """Return whether a difference of the sides may come from another meaning of the text.

    Args:
        equation: the equation.
        convention: how its numbers are read.
        text: the text.
        language: the text's language; None if unknown.
    """
    return (
        equation.doubtful
        or _has_other_units(equation)
        or _is_range(equation, convention, text)
        or _has_two_readings(equation, language)
        or _is_disowned(equation, text)
    )


def _has_other_units(equation: Equation) -> bool:
    """Return whether units differ within a sum or between the sides, so that one has to be converted."""
    left = [token.unit for token in equation.left.numbers if token.unit]
    right = [token.unit for token in equation.right.numbers if token.unit]
    counts = equation_words()["counts"]
    if (counts & {*left}) != (counts & {*right}) or any(" " in token.text for token in numbers_of(equation)):
        return True
    adds = any(token.text in ("+", "-") for token in equation.left.tokens[1:])
    if adds and any(not is_same_unit(unit, left[0]) for unit in left):
        return True
    if left and any(not any(is_same_unit(unit, other) for other in left) for unit in right):
        return True
    return not right and any(unit.isalpha() for unit in left)


def is_same_unit(one: str, other: str) -> bool:
    """Return whether two words are the same, or forms of it: ``egg`` and ``eggs``."""
    shorter, longer = sorted((one, other), key=len)
    if one == other:
        return True
    return (
        len(shorter) >= 3 and len(longer) - len(shorter) <= 2 and longer.startswith(shorter[: max(3, len(shorter) - 1)])
    )


def numbers_of(equation: Equation) -> tuple[Token, ...]:
    """Return the numbers of both sides."""
    return (*equation.left.numbers, *equation.right.numbers)


def _is_range(equation: Equation, convention: Convention, text: str) -> bool:
    """Return whether a left side such as ``9-17``, ``24/7`` or ``2020 - 2024`` may be something else than a sum."""
    tokens = equation.left.tokens
    if len(tokens) != 3 or tokens[1].text not in ("-", "/") or len(equation.left.numbers) != 2:
        return False
    first, second = (number_value(token, convention) or Fraction(0) for token in equation.left.numbers)
    is_glued = tokens[0].end == tokens[1].start or tokens[1].end == tokens[2].start
    if text[tokens[1].start : tokens[1].end] not in "-–−/":
        return False
    if tokens[1].text == "-":
        return is_glued or first < second
    is_share = equation.right.tokens[-1].kind == "%" or second <= 1 or first % second != 0
    return is_glued and is_share


def _has_two_readings(equation: Equation, language: str | None) -> bool:
    """Return whether a number such as ``1.500`` has two values, unless the language groups digits in that way."""
    own = convention_of(language) if language else None
    for token in numbers_of(equation):
        values = {one: number_value(token, one) for one in CONVENTIONS}
        if None in values.values() or values["point"] == values["comma"]:
            continue
        if own is None or decimals_of(token, own):
            return True
    return False


def _is_disowned(equation: Equation, text: str) -> bool:
    """Return whether the sentence of an equation asks, denies or reports it, or gives its digits another base."""
    earliest = max(0, equation.left.start - _MAX_SENTENCE_CHARS)
    starts = [found.end() for found in SENTENCE_END.finditer(text, earliest, equation.left.start)]
    ends = SENTENCE_END.search(text, equation.right.end)
    end = ends.start() + 1 if ends else len(text)
    sentence = text[starts[-1] if starts else earliest : min(end, equation.right.end + _MAX_SENTENCE_CHARS)]
    words, before = equation_words(), text[starts[-1] if starts else earliest : equation.left.start]
    said, whole = _words_of(before), _words_of(sentence)
    return (
        sentence.rstrip(" *_)\n").endswith(("?", "？", "؟"))
        or not words["disowning"].isdisjoint(said)
        or any(part in before for part in words["disowning_parts"])
        or not words["near"].isdisjoint(said[-_NEAR_WORDS:])
        or not words["bases"].isdisjoint(whole)
        or any(part in sentence for part in words["bases"] if part >= FIRST_DENSE)
    )


def _words_of(text: str) -> list[str]:
    return re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text.casefold().replace("’", "'"))
