"""Check that an answer contains the results of its tools; numbers and formulas are compared, words are not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Literal

from qwendesk.messages import Check, ToolUse
from qwendesk.tools.number_formats import convention_of, joined_groups, plain_digits, readings

_NUMBER = re.compile(r"(?<![0-9A-Za-z_.,])(?<![0-9][-:/])-?\d+(?:[.,]\d+)*(?![0-9_])(?![-:/]\d)")

_TIME = re.compile(
    r"(?<![\d:.,])(\d{1,2})(?::|\.(?=\d\d\s?(?:Uhr|uur)\b))([0-5]\d)(?::[0-5]\d)?(?![\d:])(?:\s?([ap])\.?m\b)?",
    re.IGNORECASE,
)

_OFFSET = re.compile(r"(?:UTC|GMT)\s?[+-]\d{1,2}(?::?\d{2})?")

_LETTER = re.compile(r"[^\W\d_]")

_LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "uk", "tr", "ar", "hi", "zh", "ja", "ko")

_UNIT_LENGTHS: tuple[Literal["long"], Literal["short"]] = ("long", "short")

_UNITS = {
    "duration": ("second", "minute", "hour", "day", "week", "month", "year"),
    "mass": ("gram", "kilogram", "pound", "ounce", "tonne"),
    "length": ("millimeter", "centimeter", "meter", "kilometer", "inch", "foot", "mile"),
    "volume": ("liter", "milliliter"),
    "temperature": ("celsius", "fahrenheit"),
}

_CURRENCY_SIGNS = {
    "%": "%",
    "€": "EUR",
    "eur": "EUR",
    "euro": "EUR",
    "euros": "EUR",
    "$": "USD",
    "usd": "USD",
    "£": "GBP",
}

_CURRENCY_SIGNS |= {
    "gbp": "GBP",
    "¥": "JPY",
    "jpy": "JPY",
    "円": "JPY",
    "元": "CNY",
    "cny": "CNY",
    "chf": "CHF",
    "₹": "INR",
}

_CURRENCY_PREFIX = re.compile(r"([€$£¥₹]|\b(?:EUR|USD|GBP|CHF))\s?-?\Z")


@dataclass(frozen=True, slots=True)
class StatedNumber:
    """A number in a text."""

    shown: str
    """The number as written, with its unit."""
    values: frozenset[Fraction]
    """Possible values; several if the number format is ambiguous."""
    decimals: int
    unit: str = ""
    """Unit or currency in one spelling for all languages; empty if none is known."""
    is_part: bool = False
    """Whether it is part of a date, a time, a range or an identifier."""


def numbers_in(text: str, language: str | None) -> list[StatedNumber]:
    """Return the numbers of a text.

    Args:
        text: the text.
        language: its language; None keeps both readings of a number such as ``1.000``.
    """
    text = plain_digits(text).replace("{,}", ",").replace("−", "-")
    with suppress(ValueError):  # a mixed number, or a fraction of a grouped one: its parts are numbers too
        text = joined_groups(text)
    found = [_stated(number, text, language) for number in _NUMBER.finditer(text)]
    taken = [number.span() for number in _NUMBER.finditer(text)]
    parts = [one for one in re.finditer(r"\d+", text) if not any(a <= one.start() < b for a, b in taken)]
    pieces = [StatedNumber(one[0], frozenset({Fraction(one[0])}), 0, is_part=True) for one in parts]
    return [one for one in found if one] + pieces


def times_in(text: str) -> list[tuple[str, int | None]]:
    """Return the times of day of a text, each as written and in minutes; None for an impossible time."""
    text = _OFFSET.sub(" ", plain_digits(text))
    return [
        (found[0], _minutes(int(found[1]), int(found[2]), (found[3] or "").lower())) for found in _TIME.finditer(text)
    ]


def without_times(text: str) -> str:
    """Return a text without its times of day; offsets from UTC stay."""
    text = plain_digits(text)
    offsets = [found.span() for found in _OFFSET.finditer(text)]
    return _TIME.sub(lambda one: one[0] if any(a <= one.start() < b for a, b in offsets) else " ", text)


def _minutes(hours: int, minutes: int, half: str) -> int | None:
    if hours > 23 or (half == "a" and hours > 12):
        return None
    if half and hours <= 12:
        hours = hours % 12 + 12 * (half == "p")
    return hours * 60 + minutes


def _stated(number: re.Match[str], text: str, language: str | None) -> StatedNumber | None:
    sign, digits = ("-", number[0][1:]) if number[0].startswith("-") else ("", number[0])
    values = frozenset(Fraction(f"{sign}{value}") for value in _values(digits, language))
    if not values:
        return None
    unit, shown = _find_unit(text, number)
    decimals = len(re.split("[.,]", digits)[-1]) if re.search("[.,]", digits) else 0
    return StatedNumber(shown, values, decimals, unit)


def _values(digits: str, language: str | None) -> list[str]:
    """Return the readings of a number; models use a decimal point in any language."""
    known = language if language and convention_of(language) == "point" else None
    try:
        return [one.text for one in readings(digits, known, written="")]
    except ValueError:
        return []


def _find_unit(text: str, number: re.Match[str]) -> tuple[str, str]:
    """Return the unit behind a number or the currency before it, and the number as written."""
    if before := _CURRENCY_PREFIX.search(text[: number.start()]):
        return _CURRENCY_SIGNS[before[1].lower()], f"{before[0]}{number[0]}"
    behind = text[number.end() : number.end() + 40]
    for word in _unit_candidates(behind):
        if unit := _unit_words().get(word.lower()):
            return unit, f"{number[0]}{behind[: behind.index(word) + len(word)]}"
    return "", number[0]


def _unit_candidates(text: str) -> Iterator[str]:
    """Yield candidates for a unit at the start of a text: a word, or letters in scripts without spaces."""
    found = re.match(r"[\s\u00a0-]?([^\W\d_]+|[%€$£¥₹]|°[CF])", text)
    if found is None:
        return
    yield found[1]
    # many languages inflect the names of units
    yield from (found[1][:-ending] for ending in (1, 2) if len(found[1]) >= 3 + ending)
    if not found[1].isascii():
        yield from (found[1][:length] for length in range(min(4, len(found[1]) - 1), 0, -1) if len(found[1]) > 1)


@cache
def _unit_words() -> dict[str, str]:
    """Return the names of units in many languages."""
    from babel.units import format_unit

    words = dict(_CURRENCY_SIGNS)
    units = [f"{kind}-{name}" for kind, names in _UNITS.items() for name in names]
    for language, unit, number in product(_LANGUAGES, units, (1, 2, 5)):
        for length in _UNIT_LENGTHS:
            written = format_unit(number, unit, length, locale=language)
            word = re.sub(r"[\d\s\u200f\u061c]+", "", written).strip(".").lower()
            if _LETTER.search(word):
                words.setdefault(word, unit)
    return words


_CALCULATORS = ("python", "algebra")

_MAX_RESULT_CHARS = 60

_MAX_LOOKED_UP_CHARS = 300

_MAX_NUMBERS_SHOWN = 8
"""Maximum number of compared numbers in the detail of a check."""

_LIST_NUMBER = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)

_NUMERIC = re.compile(r"-?\d+(?:\.\d+)?")

_READINGS = re.compile(r"If [^:]+: (.+?)\.(?=\s|$)")

_RESULT_SIGNS = str.maketrans({"²": "^2", "³": "^3", "−": "-", "–": "-"})

_ENDS = r"(?![\w^])(?!\.\d)(?![-+*/^]\(?(?:\d|[a-z](?![a-z])))"

_CLOCK = "clock"

NAMES_CHOICES = "names the places that may be meant"

STATES_RESULT = "contains the tool's result"

GROUNDED = "has only numbers that were looked up"


def check_result(text: str, uses: Sequence[ToolUse], language: str | None = None) -> list[Check]:
    """Check that the answer states the last short result of a calculator; it may be rounded.

    Args:
        text: the answer.
        uses: the turn's calls.
        language: the answer's language, for its number format.
    """
    results = [use.result.strip() for use in uses if use.ok and use.name in _CALCULATORS]
    if not results or not (pieces := _result_parts(results[-1])):
        return []
    stated = all(_states(text, piece, language) for piece in pieces)
    return [Check(STATES_RESULT, "passed" if stated else "failed", results[-1])]


def report_unchecked(uses: Sequence[ToolUse], checks: Sequence[Check]) -> list[Check]:
    """Report a calculator's result that cannot be searched for in the answer."""
    used = any(use.ok and use.name in _CALCULATORS for use in uses)
    if not used or any(check.name == STATES_RESULT for check in checks):
        return []
    return [Check(STATES_RESULT, "skipped", "the result is not one short line with a number")]


def check_grounded(text: str, question: str, uses: Sequence[ToolUse], language: str | None = None) -> list[Check]:
    """Check that each number of the answer occurs in the question or in a looked-up result."""
    results = [use.result.strip() for use in uses if use.ok and use.name not in _CALCULATORS]
    if not results:
        return []
    known = numbers_in(" \n".join([question, *results]), None)
    said = times_in(text)
    stated = numbers_in(without_times(_LIST_NUMBER.sub("", text)), language)
    told = any(use.ok and use.name == _CLOCK for use in uses)
    if not (stated or said or told):
        return [Check(GROUNDED, "skipped", "the answer holds no number to compare")]
    times = {minutes for _, minutes in times_in(" \n".join([question, *results]))}
    wrong_time = any(minutes is None or minutes not in times for _, minutes in said)
    if not (stated or said) or wrong_time or any(not _is_known(number, known) for number in stated):
        return [Check(GROUNDED, "failed", results[-1][:_MAX_LOOKED_UP_CHARS])]
    compared = [*(time for time, _ in said), *(number.shown for number in stated)]
    shown = ", ".join(dict.fromkeys(compared[:_MAX_NUMBERS_SHOWN]))
    return [Check(GROUNDED, "passed", f"{shown}; the words were not compared")]


def check_choices(text: str, uses: Sequence[ToolUse]) -> list[Check]:
    """Check that the answer names all places of an ambiguous name that the clock returned."""
    results = [use.result for use in uses if use.ok and use.name == _CLOCK]
    lines = [line.removeprefix("- ") for line in results[-1].split("\n") if line.startswith("- ")] if results else []
    if not lines:
        return []
    named = [_names_choice(text, line, lines) for line in lines]
    return [Check(NAMES_CHOICES, "passed" if all(named) else "failed", "\n".join(f"- {line}" for line in lines))]


def _names_choice(text: str, line: str, lines: Sequence[str]) -> bool:
    """Return whether a text has a choice's time or a word that only this choice has."""
    others = " ".join(other for other in lines if other != line).casefold()
    words = [word for word in re.findall(r"[^\W\d_]{4,}", line) if word.casefold() not in others]
    said = {minutes for _, minutes in times_in(text)}
    times = {minutes for _, minutes in times_in(line)}
    return bool(said & times) or any(word.casefold() in text.casefold() for word in words)


def _result_parts(result: str) -> list[str]:
    """Return the parts of a result that an answer must state: solutions, or the results of both readings."""
    if both := _READINGS.findall(result):
        return both
    if "\n" in result or len(result) > _MAX_RESULT_CHARS or not re.search(r"\d", result):
        return []
    return [piece for piece in re.split(r"; or |, (?=\w+ = )", result) if piece]


def _states(text: str, piece: str, language: str | None) -> bool:
    """Return whether a text states a result, exact or as decimals."""
    return any(
        _states_number(text, form, language) if _NUMERIC.fullmatch(form) else _states_formula(text, form)
        for form in map(str.strip, piece.split("≈"))
    )


def _states_number(text: str, result: str, language: str | None) -> bool:
    wanted, whole = Fraction(result), [number for number in numbers_in(text, language) if not number.is_part]
    return any(_rounds_to(wanted, value, number) for number in whole for value in number.values)


def _rounds_to(wanted: Fraction, value: Fraction, number: StatedNumber) -> bool:
    scale = 100 if number.unit == "%" else 1
    if wanted in (value, value / scale):
        return True
    slack = Fraction(51, 100) / 10**number.decimals
    rounded = number.decimals > 0 and wanted.denominator > 1
    return rounded and (abs(value - wanted) <= slack or abs(value / scale - wanted) <= slack / scale)


def _states_formula(text: str, formula: str) -> bool:
    """Return whether a text has the formula, not as part of a longer one."""
    piece = re.escape(_normalize(formula))
    return bool(piece) and re.search(rf"(?<![\w.^*/+-]){piece}{_ENDS}", _normalize(text)) is not None


def _is_known(number: StatedNumber, known: Sequence[StatedNumber]) -> bool:
    """Return whether a number was looked up; units are compared if both are known."""
    same = [one for one in known if one.values & number.values]
    return any(not one.unit or not number.unit or one.unit == number.unit for one in same)


def _normalize(text: str) -> str:
    """Return the text without spaces, signs of multiplication, separators and final zeros."""
    plain = re.sub(r"\\[a-z]+|[*×·{}$\\]", "", text.translate(_RESULT_SIGNS).replace("**", "^").replace("{,}", ""))
    plain = re.sub(r"\s*([-+/^=(),;])\s*", r"\1", plain).replace(",", "")
    plain = re.sub(r"(?<=\d)\s+(?=[A-Za-z](?![A-Za-z]))", "", plain)
    return re.sub(r"(\d)\.0+(?!\d)", r"\1", plain).lower()
