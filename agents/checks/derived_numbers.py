"""Tell whether a number is derived from others: written in another unit, or computed from two of them."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from functools import cache

from qwendesk.agents.checks.numbers import StatedNumber

TIME_FACTORS = (7, 12, 24, 30, 52, 60, 365, 3600)
"""Conversions of units of time."""
_FACTORS = {
    "time": {"second": "1", "minute": "60", "hour": "3600", "day": "86400", "week": "604800"},
    "calendar": {"month": "1", "year": "12"},
    "mass": {"gram": "1", "kilogram": "1000", "tonne": "1000000", "pound": "453.59237", "ounce": "28.349523"},
    "length": {"millimeter": "1", "meter": "1000", "kilometer": "1000000", "centimeter": "10", "inch": "25.4"}
    | {"foot": "304.8", "yard": "914.4", "mile": "1609344"},
    "volume": {"milliliter": "1", "liter": "1000", "gallon": "3785.4118"},
}
_ROUNDED = frozenset(("pound", "ounce", "inch", "foot", "mile"))
_MAX_ERROR = Fraction(1, 50)
"""Relative error of a value that is converted between systems of units, and rounded."""
CURRENCIES = frozenset(("EUR", "USD", "GBP", "JPY", "CNY", "CHF", "INR", "cent"))
_FAMILIES = ("mass", "length", "volume")
_MAX_OPERANDS = 12
"""Numbers of a message that a value may be computed from."""


def is_converted(number: StatedNumber, known: StatedNumber) -> bool:
    """Return whether a figure is a known one in another unit."""
    if number.unit == known.unit or not (number.unit and known.unit):
        return False
    return any(_is_same(a, number.unit, b, known.unit) for a in number.values for b in known.values)


def _is_same(value: Fraction, unit: str, known: Fraction, known_unit: str) -> bool:
    if unit in CURRENCIES and known_unit in CURRENCIES:
        return (unit == "cent" and value == known * 100) or (known_unit == "cent" and value * 100 == known)
    own, other = unit.rpartition("-")[2], known_unit.rpartition("-")[2]
    if {own, other} == {"celsius", "fahrenheit"}:
        there = known * 9 / 5 + 32 if other == "celsius" else (known - 32) * 5 / 9
        return abs(value - there) <= 1
    factors = next((units for units in _FACTORS.values() if own in units and other in units), None)
    if factors is None:
        return False
    a, b = value * Fraction(factors[own]), known * Fraction(factors[other])
    return a == b or (bool(_ROUNDED & {own, other}) and abs(a - b) <= abs(b) * _MAX_ERROR)


def may_be_converted(number: Fraction, known: Iterable[Fraction]) -> bool:
    """Return whether a number may be a known one in another unit, where the units are not known."""
    for one in known:
        if one == 0:
            continue
        ratio = number / one
        if any(ratio in (factor, Fraction(1, factor)) for factor in TIME_FACTORS):
            return True
        # converted values are rounded
        mantissas = [_mantissa(float(r)) for r in (ratio, 1 / ratio) if 1e-12 < r < 1e12]
        if any(abs(mantissa / factor - 1) < 1e-3 for mantissa in mantissas for factor in _unit_ratios()):
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


@cache
def _unit_ratios() -> frozenset[float]:
    """Return the ratios of units to metric ones, apart from powers of ten."""
    units = (float(factor) for family in _FAMILIES for factor in _FACTORS[family].values())
    return frozenset(map(_mantissa, units)) - {1.0}


def _mantissa(ratio: float) -> float:
    return float(f"{ratio:.12e}".partition("e")[0])
