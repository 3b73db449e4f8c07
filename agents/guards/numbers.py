"""An answer that rests on documents or results has only figures and dates that stand there, or follow from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import ClassVar

from qwendesk.agents.checks.numbers import StatedNumber, numbers_in, times_in, without_times
from qwendesk.agents.checks.tool_results import CALCULATORS
from qwendesk.agents.guards.base import AnswerContext, Guard, GuardName, Sentence
from qwendesk.agents.guards.months import months_in
from qwendesk.tools.number_formats import plain_digits

_LIST_NUMBER = re.compile(r"^\s*(?:[*_#>-]+\s*)*\(?\d{1,3}[.)]\s", re.MULTILINE)
_NO_FIGURE = re.compile(r"\[\d{1,3}\]|`[^`\n]*`|https?://\S+|[\w.+-]+@[\w.-]+|(?:UTC|GMT)\s?[+-]\d{1,2}(?::?\d{2})?")
"""Citations, code and addresses."""
_SCALE = re.compile(r"\s?(?:(thousand|tausend|mille|mil|mila|duizend|tusen|тыс\w*|bin|千|천|हज़ार)|"
                    r"(million|millions|millionen|mio|millones|milhoes|milhões|milioni|miljoen|milj\w*|млн|миллион\w*|"
                    r"milyon|मिलियन|مليون|juta|triệu)|(万|萬|만)|(亿|億|억)|(billion|billions|milliarden?|mrd|млрд|miljard\w*|milyar))",
                    re.IGNORECASE)  # fmt: skip
_SCALES = (10**3, 10**6, 10**4, 10**8, 10**9)
_MAX_COUNT = 12
"""Whole numbers without a unit up to this may count what is said."""
_MAX_OPERANDS, _MAX_FACTOR = 40, 100
"""Figures that may be calculated with, and the largest number of pieces that is multiplied."""
_MAX_CHARS = 40_000
_MAX_SHOWN = 8


class NumberGuard(Guard):
    """Finds figures, times and dates that neither the person nor a result nor a document gave.

    It compares only answers that rest on documents or looked-up results: general knowledge has figures of its own.
    Sums, differences, products, shares and rounded values of known figures are known as well, and so are small counts.
    """

    key: ClassVar[GuardName] = "numbers"
    name: ClassVar[str] = "has only figures from its sources"
    feedback: ClassVar[str] = "A figure or date stands in no result and no document: use only those that are given"
    instead: ClassVar[str | None] = "no_source"

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._compared = dict[str, None]()

    def prepare(self) -> None:
        """Read the figures of the sources."""
        if self._applies:
            _ = self._known, self._times, self._months

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Compare the figures of a sentence."""
        if sentence.is_code or not self._applies or not re.search(r"\d", plain_digits(sentence.text)):
            return None
        text = _NO_FIGURE.sub(" ", _LIST_NUMBER.sub(" ", sentence.text))
        said = list(self._faults(text))
        unknown = next((shown for shown, is_known in said if not is_known), None)
        if unknown is not None:
            return f"{unknown} stands in no message, result or document"
        self._compared.update(dict.fromkeys(shown for shown, _ in said))
        return None

    def compared(self) -> str | None:
        """Return the figures that stand in the sources."""
        shown = ", ".join(list(self._compared)[:_MAX_SHOWN])
        return f"{shown}: in the sources; the words were not compared" if shown else None

    def _faults(self, text: str) -> Iterator[tuple[str, bool]]:
        """Yield each figure of a text as it is shown, and whether it is known."""
        for shown, minutes in times_in(text):
            yield shown, minutes is not None and self._is_known_time(minutes)
        for month in months_in(text):
            # a date in digits may be read with either number as the month
            yield f"month {month}", month in self._months or self._has_number(Fraction(month))
        plain = plain_digits(without_times(text))
        for number in numbers_in(plain, self.context.language):
            if not self._is_count(number):
                yield number.shown, self._is_known(number, plain)

    @cached_property
    def _applies(self) -> bool:
        context = self.context
        looked_up = any(use.ok and use.name not in CALCULATORS for use in context.uses)
        return not context.compares_numbers and bool(looked_up or context.passages)

    @cached_property
    def _source_text(self) -> str:
        context = self.context
        arguments = (str(value) for use in context.uses for value in use.arguments.values())
        texts = (*context.results, *context.passages, *context.asked, *context.answers, *arguments)
        return plain_digits("\n".join((*texts, context.background, context.system_context))[:_MAX_CHARS])

    @cached_property
    def _known(self) -> list[StatedNumber]:
        return list(dict.fromkeys(numbers_in(self._source_text, None)))

    @cached_property
    def _values(self) -> dict[Fraction, set[str]]:
        """The known values, each with its units."""
        found = dict[Fraction, set[str]]()
        for number in self._known:
            for value in number.values:
                found.setdefault(value, set()).add(number.unit)
        return found

    @cached_property
    def _digits(self) -> str:
        """All digits of the sources, for numbers of telephones and accounts that are grouped in another way."""
        return re.sub(r"(?<=\d)[ ()/.-]{1,3}(?=\d)", "", self._source_text)

    @cached_property
    def _times(self) -> set[int]:
        return {minutes for _, minutes in times_in(self._source_text) if minutes is not None}

    @cached_property
    def _months(self) -> set[int]:
        return months_in(self._source_text)

    def _has_number(self, value: Fraction) -> bool:
        return value in self._values

    def _is_known_time(self, minutes: int) -> bool:
        hour = Fraction(minutes // 60)
        on_the_hour = minutes % 60 == 0 and (self._has_number(hour) or self._has_number(hour - 12))
        parts = self._has_number(Fraction(minutes // 60)) and self._has_number(Fraction(minutes % 60))
        return minutes in self._times or on_the_hour or parts

    def _is_count(self, number: StatedNumber) -> bool:
        is_whole = all(value.denominator == 1 and 0 <= value <= _MAX_COUNT for value in number.values)
        return is_whole and not number.unit and not number.is_part

    def _is_known(self, number: StatedNumber, text: str) -> bool:
        units = [self._values.get(value) for value in number.values]
        if any(known and (not number.unit or "" in known or number.unit in known) for known in units):
            return True
        if number.is_part and any(value.denominator == 1 and value in self._months for value in number.values):
            return True
        digits = re.sub(r"\D", "", number.shown)
        if len(digits) >= 5 and digits in self._digits:
            return True
        return self._is_scaled(number, text) or self._is_rounded(number) or self._is_computed(number)

    def _is_scaled(self, number: StatedNumber, text: str) -> bool:
        """Return whether a number such as "1.5 million" is known in digits, or the other way."""
        found = _SCALE.match(text[text.find(number.shown) + len(number.shown) :])
        factors = [_SCALES[index] for index, word in enumerate(found.groups()) if word] if found else []
        if number.unit == "%" and any(self._has_number(value / 100) for value in number.values):
            return True
        return any(self._has_number(value * factor) for value in number.values for factor in factors)

    def _is_rounded(self, number: StatedNumber) -> bool:
        slack = Fraction(51, 100) / 10**number.decimals
        return any(
            known.denominator > 1 and abs(known - value) <= slack for value in number.values for known in self._values
        )

    def _is_computed(self, number: StatedNumber) -> bool:
        units = [self._results.get(value) for value in number.values]
        return any(found and (not number.unit or number.unit in found) for found in units)

    @cached_property
    def _results(self) -> dict[Fraction, set[str]]:
        """What follows from the known figures in one step: sums, differences, products, shares, sums of all."""
        operands = [number for number in self._known if len(number.values) == 1 and not number.is_part]
        operands = operands[:_MAX_OPERANDS]
        found = dict[Fraction, set[str]]()
        for one, other in combinations(operands, 2):
            for value, unit in _combined(one, other):
                found.setdefault(value, set()).add(unit)
        by_unit = dict[str, list[Fraction]]()
        for number in operands:
            by_unit.setdefault(number.unit, []).append(next(iter(number.values)))
        for unit, values in by_unit.items():
            if unit and len(values) > 1:
                found.setdefault(sum(values, Fraction(0)), set()).add(unit)
        return found


def _combined(one: StatedNumber, other: StatedNumber) -> Iterator[tuple[Fraction, str]]:
    """Yield what follows from two figures, with its unit: only those with units can be calculated with."""
    (a,), (b,) = one.values, other.values
    if one.unit == other.unit != "":
        yield from ((a + b, one.unit), (abs(a - b), one.unit))
    for count, priced in ((one, other), (other, one)):
        (n,), (value,) = count.values, priced.values
        if not count.unit and priced.unit and n.denominator == 1 and 1 < n <= _MAX_FACTOR:
            yield n * value, priced.unit
        if count.unit == "%" and priced.unit != "%":
            yield from ((value * share / 100, priced.unit) for share in (n, 100 - n, 100 + n))
