"""Evaluate the sides of equations exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from qwendesk.agents.checks.equation_tokens import Token, number_value
from qwendesk.tools.number_formats import Convention

_MAX_POWER_BITS = 4000


@dataclass(frozen=True, slots=True)
class EquationSide:
    """One side of an equation."""

    tokens: tuple[Token, ...]
    """Numbers and signs, without units."""

    @property
    def start(self) -> int:
        """Position of its first character."""
        return self.tokens[0].start

    @property
    def end(self) -> int:
        """Position behind its last character."""
        return self.tokens[-1].end

    @property
    def number(self) -> Token | None:
        """Its number, if it is a single one."""
        numbers = [token for token in self.tokens if token.kind == "number"]
        only = all(token.kind in ("number", "(", ")", "%") or token.text == "-" for token in self.tokens)
        return numbers[0] if only and len(numbers) == 1 else None

    @property
    def is_negative(self) -> bool:
        """Whether a minus sign stands before it."""
        return any(token.text == "-" for token in self.tokens if token.kind == "sign")

    @property
    def calculates(self) -> bool:
        """Whether it holds something to calculate."""
        inner = self.tokens[1:] if self.tokens[0].text in ("-", "+") else self.tokens
        return any(token.kind in ("sign", "fraction", "root") for token in inner) or len(self.numbers) > 1

    @property
    def numbers(self) -> tuple[Token, ...]:
        """Its numbers."""
        return tuple(token for token in self.tokens if token.kind == "number")


def value_of(
    side: EquationSide,
    convention: Convention,
    values: dict[int, Fraction] | None = None,
    *,
    percent: bool = True,
    scaled: bool = True,
) -> Fraction | None:
    """Return the exact value of a side; None if it has none in this convention.

    Args:
        side: the side.
        convention: how its numbers are read.
        values: values of numbers by their position, which replace those that are written.
        percent: whether a percent sign divides by a hundred; otherwise it is left out.
        scaled: whether words such as ``million`` count.
    """
    try:
        parser = _Parser(side.tokens, convention, values or {}, percent, scaled)
        value = parser.sum()
        return value if parser.at == len(side.tokens) else None
    except (_UnreadableError, ZeroDivisionError, OverflowError, RecursionError):
        return None


class _UnreadableError(ValueError):
    """The tokens are no expression."""


class _Parser:
    """Evaluates tokens by recursive descent."""

    def __init__(
        self, tokens: Sequence[Token], convention: Convention, values: dict[int, Fraction], percent: bool, scaled: bool
    ) -> None:
        self.tokens = tokens
        self.at = 0
        self._convention: Convention = convention
        self._values = values
        self._percent = percent
        self._scaled = scaled

    def sum(self) -> Fraction:
        """Return the value of a sum."""
        value = self._product()
        while (sign := self._peek()) in ("+", "-"):
            self.at += 1
            right = self._product()
            value = value + right if sign == "+" else value - right
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while True:
            sign = self._peek()
            if sign in ("*", "/"):
                self.at += 1
                right = self._signed()
                value = value * right if sign == "*" else value / right
            elif sign in ("(", "fraction", "root") and self.tokens[self.at - 1].kind in ("number", ")"):
                value *= self._power()
            else:
                return value

    def _signed(self) -> Fraction:
        sign = self._peek()
        if sign in ("-", "+"):
            self.at += 1
            value = self._signed()
            return -value if sign == "-" else value
        return self._power()

    def _power(self) -> Fraction:
        value = self._atom()
        while self._peek() == "%":
            self.at += 1
            value = value / 100 if self._percent else value
        if self._peek() != "^":
            return value
        self.at += 1
        return _raised(value, self._signed())

    def _atom(self) -> Fraction:
        kind = self._peek()
        if kind is None:
            raise _UnreadableError
        token = self.tokens[self.at]
        self.at += 1
        if token.kind == "number":
            value = self._values.get(token.start)
            if value is None:
                value = number_value(token, self._convention)
            if value is None:
                raise _UnreadableError
            return value * token.scale if self._scaled else value
        if token.kind == "(":
            value = self.sum()
            if self._peek() != ")":
                raise _UnreadableError
            self.at += 1
            return value
        if token.kind == "fraction":
            return self._atom() / self._atom()
        if token.kind == "root":
            value = self._atom()
            if value < 0:
                raise _UnreadableError
            return _raised(value, Fraction(1, 2))
        raise _UnreadableError

    def _peek(self) -> str | None:
        if self.at >= len(self.tokens):
            return None
        token = self.tokens[self.at]
        return token.text if token.kind == "sign" else token.kind


def _raised(value: Fraction, power: Fraction) -> Fraction:
    if power.denominator == 1:
        bits = max(value.numerator.bit_length(), value.denominator.bit_length(), 1)
        if abs(power.numerator) * bits > _MAX_POWER_BITS:
            raise _UnreadableError
        return value**power.numerator
    if value < 0 or abs(power) > 1000:
        raise _UnreadableError
    found = float(value) ** float(power)
    if found in (float("inf"), float("-inf")) or found != found:
        raise _UnreadableError
    return Fraction(found).limit_denominator(10**15)
