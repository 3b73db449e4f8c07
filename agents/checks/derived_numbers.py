"""Tell whether a number is derived from others: written in another unit, or computed from two of them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

TIME_FACTORS = (7, 12, 24, 30, 52, 60, 365, 3600)
"""Conversions of units of time."""
_UNIT_FACTORS = (1.609344, 3.048, 2.54, 9.144, 4.5359237, 2.8349523, 3.7854118)
"""Conversions of other units, apart from powers of ten: mile, foot, inch, yard, pound, ounce, gallon."""
_MAX_OPERANDS = 12
"""Numbers of a message that a value may be computed from."""


def is_converted(number: Fraction, known: Iterable[Fraction]) -> bool:
    """Return whether a number is a known one in another unit."""
    for one in known:
        if one == 0:
            continue
        ratio = number / one
        if any(ratio in (factor, Fraction(1, factor)) for factor in TIME_FACTORS):
            return True
        # converted values are rounded
        mantissas = [float(f"{float(r):.12e}".partition("e")[0]) for r in (ratio, 1 / ratio) if 1e-12 < r < 1e12]
        if any(abs(mantissa / factor - 1) < 1e-3 for mantissa in mantissas for factor in _UNIT_FACTORS):
            return True
    return False


def is_computed(number: Fraction, known: Iterable[Fraction]) -> bool:
    """Return whether a number is a sum, difference, product or quotient of two known ones."""
    operands = sorted(known)[:_MAX_OPERANDS]
    return any(
        number in (one + other, abs(one - other), one * other) or (other != 0 and number == one / other)
        for one in operands
        for other in operands
    )


def significant_digits(number: Fraction) -> str:
    """Return a number's digits without zeros at either end, the same for 5 %, 0.05, 50 and 5 thousand."""
    try:
        return f"{abs(float(number)):.12g}".partition("e")[0].replace(".", "").strip("0")
    except OverflowError:
        return ""
