"""Check that a word problem is calculated with its own numbers.

Each number of a calculation has to stand in the question or follow from it: as the result of an earlier line, as a
share of a percentage, in another unit of time, or as a constant such as the days of a week.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from qwendesk.agents.checks.answer_language import word_problem_language
from qwendesk.agents.checks.arithmetic import SAYS_EQUAL
from qwendesk.agents.checks.derived_numbers import TIME_FACTORS, is_computed
from qwendesk.agents.checks.equation_tokens import CONVENTIONS, Token, decimals_of, number_value, tokens_of
from qwendesk.agents.checks.equations import Equation, find_equations
from qwendesk.agents.checks.expressions import EquationSide, value_of
from qwendesk.agents.checks.number_words import values_in_words
from qwendesk.agents.checks.numbers import numbers_in
from qwendesk.messages import Check, Inbound
from qwendesk.tools.number_formats import Convention
from qwendesk.tools.sandbox import PythonSandbox

OPERANDS = "calculates with the question's numbers"
_CONSTANTS = frozenset(
    Fraction(number)
    for number in re.findall(
        r"\S+",
        "0 1 2 3 4 7 10 12 16 24 28 30 31 36 52 60 90 100 180 360 365 366 1000 3600 10000 1000000 "
        "1/2 3/2 5/2 1/4 3/4 1/3 2/3 1/5 1/10 1/100 1/1000 3.14 3.1416 3.14159",
    )
)
"""Counts of units, and numbers that halves, pairs, quarters and shares are calculated with."""
_FENCE = "```"
_ANY_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MAX_SHOWN = 3
_MAX_NUMBERS = 200
"""Numbers of a longer question or answer are not compared."""


@dataclass(frozen=True, slots=True)
class ComparedOperands:
    """The operands of an answer's calculations."""

    number: int
    strange: tuple[str, ...]
    """Those that come from nowhere, as written."""


async def check_operands(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Check the numbers of the calculations in the answer to a word problem; other answers are not judged."""
    if inbound is None or not SAYS_EQUAL.search(text) or (language := word_problem_language(inbound.text)) is None:
        return []
    compared = await asyncio.to_thread(compare_operands, text, inbound.text, language)
    if compared is None or not compared.number:
        return []
    if compared.strange:
        return [Check(OPERANDS, "failed", ", ".join(compared.strange[:_MAX_SHOWN]))]
    return [Check(OPERANDS, "passed", f"{compared.number} numbers; not whether they are the right ones")]


def compare_operands(text: str, question: str, language: str) -> ComparedOperands | None:
    """Compare the operands of an answer's calculations with what is known before each.

    None: not all known numbers can be read, because some are in words or calculated by code, or there are too many.
    """
    words, is_read = values_in_words(question, language)
    asked = [value for number in numbers_in(question, None) for value in number.values]
    if not is_read or len(asked) > _MAX_NUMBERS or _FENCE in text:
        return None
    known = _Known([*map(Fraction, words), *asked, *(value for one in tokens_of(question) for value in _readings(one))])
    given = sorted(_in_algebra(text))
    strange = dict[str, None]()
    number = at = 0
    previous: Equation | None = None
    for equation in find_equations(text):
        while at < len(given) and given[at][0] < equation.right.start:
            known.add([given[at][1]])
            at += 1
        before = previous.left if previous and previous.right.start == equation.left.start else None
        for token in equation.left.numbers if equation.left.calculates else ():
            number += 1
            if not known.has(token) and not (before and _is_simplified(token, before)):
                strange.setdefault(text[token.start : token.end])
            known.add(_readings(token))
        known.add(_results(equation))
        previous = equation
        if number > _MAX_NUMBERS:
            return None
    return ComparedOperands(number, tuple(strange))


class _Known:
    """The numbers that a calculation may use so far.

    Args:
        values: the numbers of the question.
    """

    def __init__(self, values: Iterable[Fraction]) -> None:
        self._values = set[Fraction]()
        self._derived = set(_CONSTANTS)
        self.add(values)

    def add(self, values: Iterable[Fraction]) -> None:
        """Add numbers that are given or calculated, with their shares and in other units of time."""
        for value in values:
            value = abs(value)
            self._values.add(value)
            self._derived |= {value, value / 100, value * 100, 100 + value, abs(100 - value)}
            for share in (value / 100, *([value] if value.denominator > 1 else [])):
                self._derived |= {1 + share, abs(1 - share)}
            self._derived |= {value * factor for factor in TIME_FACTORS}
            self._derived |= {value / factor for factor in TIME_FACTORS}

    def has(self, token: Token) -> bool:
        """Return whether a number may be used, in any of its readings."""
        for convention in CONVENTIONS:
            value = number_value(token, convention)
            if value is None:
                continue
            if not {value, value * token.scale}.isdisjoint(self._derived):
                return True
            if self._is_rounded(value * token.scale, Fraction(token.scale, 10 ** decimals_of(token, convention))):
                return True
        return False

    def _is_rounded(self, value: Fraction, unit: Fraction) -> bool:
        """Return whether a number is a known one that was rounded or cut."""
        return any(
            value in (floor(known), ceil(known)) or (unit < 1 and abs(known - value) < unit)
            for known in self._values
            if known.denominator > 1
        )


def _readings(token: Token) -> Iterator[Fraction]:
    if token.kind not in ("number", "unknown"):
        return
    for convention in CONVENTIONS:
        with_value = number_value(token, convention) if token.kind == "number" else None
        if with_value is not None:
            yield with_value
            yield with_value * token.scale
    if token.kind == "unknown":
        # a time of day or a date
        yield from map(Fraction, _ANY_NUMBER.findall(token.text))


def _results(equation: Equation) -> Iterator[Fraction]:
    """Yield what an equation results in, as stated and as calculated."""
    for convention in CONVENTIONS:
        for side in (equation.left, equation.right):
            yield from _value(side, convention)
    if equation.right.number:
        yield from _readings(equation.right.number)


def _value(side: EquationSide, convention: Convention) -> Iterator[Fraction]:
    for percent in (True, False):
        value = value_of(side, convention, percent=percent)
        if value is not None:
            yield value


def _is_simplified(token: Token, side: EquationSide) -> bool:
    """Return whether a number follows in one step from those before the equals sign, as in ``4 * 60 / 5 = 4 * 12``."""
    known = [value for one in side.numbers for value in _readings(one)]
    return any(is_computed(value, known) for value in _readings(token))


def _in_algebra(text: str) -> Iterator[tuple[int, Fraction]]:
    """Yield the places and values of numbers behind an equals sign, and of those in equations with variables."""
    clause: list[Token] = []
    for token in [*tokens_of(text), Token("end", "", 0, 0)]:
        if token.kind != "end":
            clause.append(token)
            continue
        signs = [index for index, one in enumerate(clause) if one.kind == "="]
        if signs and any(one.kind == "unknown" and not one.text[:1].isdigit() for one in clause):
            yield from ((one.start, value) for one in clause for value in _readings(one))
        elif signs:
            behind = (clause[sign + 1] for sign in signs if sign + 1 < len(clause))
            yield from ((one.start, value) for one in behind for value in _readings(one))
        clause = []
