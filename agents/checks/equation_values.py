"""Compare the sides of an equation in each reading of its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Literal

from qwendesk.agents.checks.equation_tokens import decimals_of, number_value
from qwendesk.agents.checks.equations import Equation
from qwendesk.agents.checks.expressions import EquationSide, value_of
from qwendesk.agents.checks.sum_meanings import has_other_meaning
from qwendesk.tools.number_formats import Convention, convention_of

_FLOATING = Fraction(1, 10**12)
"""Share by which floating-point numbers may differ."""
_LOOSE = Fraction(1, 100)
"""Share by which sides may differ that are said to be about equal."""
Verdict = Literal["holds", "differs", "unknown"]


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome of a comparison."""

    verdict: Verdict
    value: Fraction = Fraction(0)
    """The value of the left side in the unit of the right one, where they differ."""
    convention: Convention = "point"
    is_exact: bool = True


def judge(
    equation: Equation, conventions: Sequence[Convention], values: dict[int, Fraction], approximate: set[Fraction]
) -> Judged:
    """Compare both sides of an equation in each reading of its numbers."""
    found: list[Judged] = []
    for convention in conventions:
        for percent, scaled in product((True, False), (True, False)):
            left = value_of(equation.left, convention, values, percent=percent, scaled=scaled)
            right = value_of(equation.right, convention, values, percent=percent, scaled=scaled)
            if left is None or right is None:
                continue
            if _is_equal(equation, left, right, convention, approximate, scaled=scaled):
                return Judged("holds", left, convention, left == right)
            found.append(Judged("differs", left / _unit(equation.right, percent=percent, scaled=scaled), convention))
    if not found:
        return Judged("unknown")
    if (begin := _first_value(equation, values, found[0].convention)) is not None and begin == found[0].value:
        return Judged("holds", begin, found[0].convention)
    if (number := equation.right.number) and (stated := number_value(number, found[0].convention)):
        return min(found[:4], key=lambda one: _distance(one.value, stated))
    return found[0]


def is_unproven(equation: Equation, judged: Judged, text: str, language: str | None) -> bool:
    """Return whether a difference may come from another meaning of the text."""
    return judged.verdict == "differs" and has_other_meaning(equation, judged.convention, text, language)


def conventions_for(language: str | None) -> tuple[Convention, Convention]:
    """Return the conventions for a text's numbers, first the one of its language."""
    return ("comma", "point") if language and convention_of(language) == "comma" else ("point", "comma")


def note_rounding(equation: Equation, judged: Judged, approximate: set[Fraction]) -> None:
    """Remember a result that is rounded, so that sums with it may differ a little."""
    number = equation.right.number
    if number and judged.verdict == "holds" and not judged.is_exact:
        value = number_value(number, judged.convention)
        if value is not None:
            approximate.add(value)


def _first_value(equation: Equation, values: dict[int, Fraction], convention: Convention) -> Fraction | None:
    """Return the first number of a right side that goes on calculating, as in ``5 + 3 = 8 + 2 = 10``."""
    first = equation.right.tokens[0]
    if equation.right.number or first.kind != "number":
        return None
    return values.get(first.start, number_value(first, convention))


def _is_equal(
    equation: Equation,
    left: Fraction,
    right: Fraction,
    convention: Convention,
    approximate: set[Fraction],
    *,
    scaled: bool,
) -> bool:
    difference = abs(left - right)
    if difference <= abs(left) * _FLOATING:
        return True
    number = equation.right.number
    unit = Fraction(number.scale if number and scaled else 1)
    decimals = decimals_of(number, convention) if number else 0
    if equation.right.tokens[-1].kind == "%":
        unit /= 100
    # a result may be rounded or cut; one without decimals only if it stands for a fraction
    if number and (decimals or left.denominator > 1 or unit != 1) and difference < unit / 10**decimals:
        return True
    if equation.loose and difference <= abs(left) * _LOOSE:
        return True
    slack = sum(
        (_sensitivity(side, convention, approximate, scaled=scaled) for side in (equation.left, equation.right)),
        Fraction(0),
    )
    return bool(slack) and difference <= slack + (unit / 10**decimals if number else 0)


def _sensitivity(side: EquationSide, convention: Convention, approximate: set[Fraction], *, scaled: bool) -> Fraction:
    """Return by how much a side changes if its rounded numbers change by half of their last digit."""
    base = value_of(side, convention, scaled=scaled)
    if base is None or side.number:
        return Fraction(0)
    change = Fraction(0)
    for token in side.numbers:
        value, decimals = number_value(token, convention), decimals_of(token, convention)
        if value is not None and (decimals >= 3 or value in approximate):
            moved = value_of(side, convention, {token.start: value + Fraction(51, 100) / 10**decimals}, scaled=scaled)
            change += abs(moved - base) if moved is not None else 0
    return change


def _unit(side: EquationSide, *, percent: bool, scaled: bool) -> Fraction:
    """Return what a side's only number is counted in."""
    unit = Fraction(1)
    if side.number and scaled:
        unit *= side.number.scale
    return unit / 100 if percent and side.number and side.tokens[-1].kind == "%" else unit


def _distance(value: Fraction, stated: Fraction) -> float:
    if not value or not stated:
        return float("inf") if value != stated else 0.0
    ratio = abs(float(value / stated))
    return max(ratio, 1 / ratio) if ratio else float("inf")
