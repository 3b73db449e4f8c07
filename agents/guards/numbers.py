"""An answer that rests on documents or results has only figures and dates that stand there, or follow from them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property
from itertools import combinations
from typing import ClassVar

from qwendesk.agents.checks.derived_numbers import CURRENCIES, is_converted
from qwendesk.agents.checks.equation_tokens import scale_of
from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.checks.number_words import with_digits
from qwendesk.agents.checks.numbers import StatedNumber, numbers_in, times_in, without_times
from qwendesk.agents.guards.base import AnswerContext, Guard, GuardName, Sentence
from qwendesk.agents.guards.dates import StatedDate, dates_in, days_near, hours_in, minutes_of, without_dates
from qwendesk.agents.guards.quantities import ABOUT, CODES, without_illustrations
from qwendesk.agents.guards.sources import Sources
from qwendesk.tools.number_formats import plain_digits

_LIST_NUMBER = re.compile(r"^\s*(?:[*_#>-]+\s*)*\(?\d{1,3}[.)]\s", re.MULTILINE)
_NO_FIGURE = re.compile(r"\[\d{1,3}\]|`[^`\n]*`|https?://\S+|[\w.+-]+@[\w.-]+|(?:UTC|GMT)\s?[+-]\d{1,2}(?::?\d{2})?")
"""Citations, code and addresses."""
_WORD_BEHIND = re.compile(r"\s?([^\s\d.,;:!?()]+)")
_MAX_COUNT = 12
"""Whole numbers without a unit up to this may count what is said."""
_MAX_OPERANDS, _MAX_FACTOR = 40, 100
"""Figures that may be calculated with, and the largest number of pieces that is multiplied."""
_MAX_CHARS = 40_000
_PHONE = re.compile(r"(?<![\w+])\+?\d[\d ()/.-]{6,}\d(?!\w)")
_MIN_PHONE_DIGITS = 7
_LAST_DIGITS = 6
"""Last digits of a telephone number, which are the same with and without the code of the country."""
_NEAR_DAYS = 370
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
        self._sources = Sources(context)
        self._compared = dict[str, None]()

    def prepare(self) -> None:
        """Read the figures of the sources."""
        if self._sources.were_read:
            _ = self._known, self._times, self._days, self._results

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Compare the figures of a sentence."""
        if sentence.is_code or not self._sources.were_read:
            return None
        text = with_digits(plain_digits(sentence.text), only_units=True)
        if not re.search(r"\d", text) or not self._sources.are_meant(sentence):
            return None
        text = CODES.sub(" ", _NO_FIGURE.sub(" ", _LIST_NUMBER.sub(" ", without_illustrations(text))))
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
        for phone in _PHONE.findall(text):
            if len(digits := re.sub(r"\D", "", phone)) >= _MIN_PHONE_DIGITS and digits[-_LAST_DIGITS:] in self._digits:
                text = text.replace(phone, " ")
        for day in dates_in(text):
            yield day.shown, self._is_known_date(day)
        for shown, minutes in times_in(text):
            yield shown, minutes is not None and self._is_known_time(minutes)
        text = without_times(text)
        for shown, meant in hours_in(text):
            yield shown, any(map(self._is_known_time, meant))
        plain = without_dates(text)
        for number in numbers_in(plain, self.context.language):
            if not self._is_count(number):
                yield number.shown, self._is_known(number, plain)

    @cached_property
    def _source_text(self) -> str:
        return with_digits(plain_digits(self._sources.text[:_MAX_CHARS]), only_units=False)

    @cached_property
    def _known(self) -> list[StatedNumber]:
        """The figures of the sources but those of dates and times, which are no quantities."""
        return list(dict.fromkeys(numbers_in(without_dates(without_times(self._source_text)), None)))

    @cached_property
    def _values(self) -> dict[Fraction, set[str]]:
        """The known values, each with its units."""
        found = dict[Fraction, set[str]]()
        for number in self._known:
            for value in number.values:
                found.setdefault(value, set()).add(number.unit)
        return found

    @cached_property
    def _all_values(self) -> set[Fraction]:
        """The known values and those of dates and times."""
        return {value for number in numbers_in(self._source_text, None) for value in number.values}

    @cached_property
    def _digits(self) -> str:
        """All digits of the sources, for numbers of telephones and accounts that are grouped in another way."""
        return re.sub(r"(?<=\d)[ ()/.-]{1,3}(?=\d)", "", self._source_text)

    @cached_property
    def _times(self) -> set[int]:
        return minutes_of(self._source_text)

    @cached_property
    def _days(self) -> set[tuple[int, int]]:
        """The known days as pairs of day and month, and those that follow from them by a known number of days."""
        days = days_near(self._source_text)
        spans = {int(value) * (7 if number.unit.endswith("week") else 1)
                 for number in self._known if number.unit.endswith(("day", "week"))
                 for value in number.values if value.denominator == 1 and 0 < value <= _NEAR_DAYS}  # fmt: skip
        moved = {moved for day in days for span in spans for moved in _moved(day, span)}
        return days | moved

    def _is_known_date(self, said: StatedDate) -> bool:
        months = {month for _, month in self._days} | {
            month for known in dates_in(self._source_text) for _, month in known.days
        }
        is_day = any((day, month) in self._days or (day is None and month in months) for day, month in said.days)
        return is_day and (said.year is None or not {said.year, said.year % 100}.isdisjoint(self._all_values))

    def _has_number(self, value: Fraction) -> bool:
        return value in self._values

    def _is_known_time(self, minutes: int) -> bool:
        if minutes in self._times:
            return True
        parts = [Fraction(minutes // 60), Fraction(minutes % 60)]
        hours = [parts[0], parts[0] - 12 if parts[0] > 12 else parts[0]]
        may_be_hour = any(self._values.get(hour, set()) & {"", "duration-hour"} for hour in hours)
        return may_be_hour and (not parts[1] or self._has_number(parts[1]))

    def _is_count(self, number: StatedNumber) -> bool:
        is_whole = all(value.denominator == 1 and 0 <= value <= _MAX_COUNT for value in number.values)
        return is_whole and not number.unit and not number.is_part

    def _is_known(self, number: StatedNumber, text: str) -> bool:
        units = [self._values.get(value) for value in number.values]
        if any(known and (not number.unit or "" in known or number.unit in known) for known in units):
            return True
        if not number.unit and number.values & self._all_values:
            return True
        if any(is_converted(number, known) for known in self._known):
            return True
        digits = re.sub(r"\D", "", number.shown)
        if len(digits) >= 5 and digits in self._digits:
            return True
        return self._is_scaled(number, text) or self._is_rounded(number, text) or self._is_computed(number)

    def _is_scaled(self, number: StatedNumber, text: str) -> bool:
        """Return whether a number such as "1.5 million" is known in digits, or the other way."""
        behind = _WORD_BEHIND.match(text[text.find(number.shown) + len(number.shown) :])
        factor = scale_of(behind[1], with_large=True) if behind else 1
        if number.unit == "%" and any(self._has_number(value / 100) for value in number.values):
            return True
        return factor > 1 and any(self._has_number(value * factor) for value in number.values)

    def _is_rounded(self, number: StatedNumber, text: str) -> bool:
        """Return whether a figure rounds a known one; the rounded price is a wrong one, but for "about 5 euros"."""
        before = normalize(text[max(0, text.find(number.shown) - 20) : max(0, text.find(number.shown))])
        if number.unit in CURRENCIES and not ABOUT.search(before):
            return False
        slack = Fraction(51, 100) / 10**number.decimals
        return any(
            value.denominator > 1 and abs(value - said) <= slack and (not number.unit or known.unit == number.unit)
            for known in self._known
            for value in known.values
            for said in number.values
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
                # money is told in hundredths
                for told in {value, Fraction(round(value * 100), 100)}:
                    found.setdefault(told, set()).add(unit)
        by_unit = dict[str, list[Fraction]]()
        for number in operands:
            by_unit.setdefault(number.unit, []).append(next(iter(number.values)))
        for unit, values in by_unit.items():
            if unit == "%":
                found |= {100 - value: {unit} for value in values if 0 < value < 100}
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
            if n > 0:  # a gross price without its tax, and the tax in it
                yield from ((value * part / (100 + n), priced.unit) for part in (100, n))


def _moved(day: tuple[int, int], days: int) -> Iterator[tuple[int, int]]:
    """Yield the day and month some days before and behind another one."""
    try:
        known = date(2027, day[1], day[0])
    except ValueError:
        return
    for sign in (1, -1):
        other = known + timedelta(days=sign * days)
        yield other.day, other.month
