"""Find the dates and the times of day of a text, in many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.checks.numbers import times_in

_LANGUAGES = (
    "en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hr", "ro", "hu", "tr", "el",
    "ru", "uk", "bg", "ar", "fa", "he", "hi", "id", "sw",
)  # fmt: skip
_WORD = r"[^\s\d,.;:!?()\[\]/\"«»-]{2,}"
_DAY = r"(?<![\d.,:/-])(?P<day>\d{1,2})(?!\d)"
_YEAR = r"(?P<year>\d{4})(?!\d)"
_WRITTEN = (
    re.compile(
        rf"{_DAY}(?:st|nd|rd|th|er|re|[.ºª°])?(?:\s(?:of|de|di|d'|del|da|do)(?=\s|(?<=')))?\s?(?P<month>{_WORD})\.?"
        rf"(?:,?\s(?:(?:de|del|of)\s)?{_YEAR})?",
        re.IGNORECASE,
    ),
    re.compile(
        rf"(?<!\w)(?P<month>{_WORD})\.?,?\s(?:the\s|de\s|den\s)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?"
        rf"(?!\d|[.,:/-]\d|\s?[€$£%])(?:,?\s{_YEAR})?",
        re.IGNORECASE,
    ),
    re.compile(rf"(?<!\w)(?P<month>{_WORD})\.?,?\s(?:de\s|del\s|of\s)?(?P<day>)(?P<year>\d{{4}})(?!\d)", re.IGNORECASE),
)
_DIGITS = re.compile(
    r"(?<![\d.:])(?:(?P<iso_year>\d{4})[-/.](?P<iso_month>\d{1,2})[-/.](?P<iso_day>\d{1,2})|"
    r"(?P<one>\d{1,2})[-/.](?P<two>\d{1,2})[-/.](?P<behind>\d{4}|\d{2}))(?!\d)|"
    r"(?:(?P<dense_year>\d{4})\s?[年년]\s?)?(?P<dense>\d{1,2})\s?[月월](?:\s?(?P<dense_day>\d{1,2})\s?[日号號일])?|"
    r"(?:(?P<vi_day>\d{1,2}) )?tháng (?P<vi>\d{1,2})(?!\d)",
    re.IGNORECASE,
)
_AROUND = 14
"""Characters beside a date in which another day of the month may stand: "from 3 to 5 May"."""
_HOUR = re.compile(
    r"(?<![\d:.,])(?:(?P<from>\d{1,2})\s?(?:[-–~]|bis|to|and|until|till|à|a|al|до|至|から)\s?)?(?P<hour>\d{1,2})\s?"
    r"(?:(?P<half>[ap])\.?\s?m\b\.?|(?:Uhr|uur|o'clock)\b|時(?!間)|시(?!간)|点(?=[钟半整\d前后，。,.]))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class StatedDate:
    """A date in a text."""

    shown: str
    days: frozenset[tuple[int | None, int]]
    """Day and month; several where digits or a name may be read in two ways."""
    year: int | None
    span: tuple[int, int]


def dates_in(text: str) -> list[StatedDate]:
    """Return the dates of a text whose digits are 0 to 9."""
    found = list[StatedDate]()
    for date in (*_in_digits(text), *_in_words(text)):
        if not any(date.span[0] < other.span[1] and other.span[0] < date.span[1] for other in found):
            found.append(date)
    return found


def days_near(text: str) -> set[tuple[int, int]]:
    """Return each day and month that the dates of a text may mean, those of ranges such as "3 to 5 May" too."""
    found = set[tuple[int, int]]()
    for date in dates_in(text):
        start, end = date.span
        around = f"{text[max(0, start - _AROUND) : start]} {text[end : end + _AROUND]}"
        beside = [int(one) for one in re.findall(r"(?<![\d:.,])\d{1,2}(?![\d:]|[.,]\d)", around)]
        for day, month in date.days:
            found.update((one, month) for one in (day, *beside) if one is not None and 1 <= one <= 31)
    return found


def hours_in(text: str) -> list[tuple[str, frozenset[int]]]:
    """Return the hours such as "8 pm" or "8 Uhr", each as written and in the minutes of the day that it may mean."""
    found = list[tuple[str, frozenset[int]]]()
    for match in _HOUR.finditer(text):
        for hour in (int(value) for value in (match["from"], match["hour"]) if value):
            half = (match["half"] or "").lower()
            if half and hour <= 12:
                hours = {hour % 12 + 12 * (half == "p")} if hour == int(match["hour"]) else {hour % 12, hour % 12 + 12}
            else:
                hours = {hour, hour + 12} if hour < 12 else {hour % 24}
            found.append((match[0], frozenset(60 * one for one in hours)))
    return found


def minutes_of(text: str) -> set[int]:
    """Return all times of day that a text may mean, in minutes."""
    exact = {minutes for _, minutes in times_in(text) if minutes is not None}
    return exact.union(*(minutes for _, minutes in hours_in(text)))


def without_dates(text: str) -> str:
    """Return a text without its dates and hours, so that their figures are no quantities."""
    for date in sorted(dates_in(text), key=lambda one: one.span, reverse=True):
        text = f"{text[: date.span[0]]} {text[date.span[1] :]}"
    return _HOUR.sub(" ", text)


def _in_digits(text: str) -> Iterator[StatedDate]:
    for match in _DIGITS.finditer(text):
        part = {name: int(value) for name, value in match.groupdict().items() if value}
        year = part.get("iso_year") or part.get("dense_year") or part.get("behind")
        pairs = [
            (part.get("iso_day"), part.get("iso_month")),
            (part.get("one"), part.get("two")),
            (part.get("two"), part.get("one")),
            (part.get("dense_day"), part.get("dense")),
            (part.get("vi_day"), part.get("vi")),
        ]
        days = frozenset((day, month) for day, month in pairs if month and 1 <= month <= 12)
        if days:
            yield StatedDate(match[0], days, 2000 + year if year and year < 100 else year, match.span())


def _in_words(text: str) -> Iterator[StatedDate]:
    for pattern in _WRITTEN:
        for match in pattern.finditer(text):
            months = _names().get(normalize(match["month"]).rstrip("."), ())
            day = int(match["day"]) if match["day"] else None
            if months and (day is None or 1 <= day <= 31):
                year = int(match["year"]) if match["year"] else None
                yield StatedDate(match[0], frozenset((day, month) for month in months), year, match.span())


@cache
def _names() -> dict[str, frozenset[int]]:
    """Return the numbers of the months by their names; languages share names of different months."""
    from babel.dates import get_month_names

    names = dict[str, set[int]]()
    for language in _LANGUAGES:
        # abbreviations of other languages are words such as "set"
        for width in ("wide", "abbreviated") if language == "en" else ("wide",):
            for context in ("format", "stand-alone"):
                for month, name in get_month_names(width, context, language).items():
                    names.setdefault(normalize(name).rstrip("."), set()).add(month)
    return {name: frozenset(of) for name, of in names.items() if len(name) >= (3 if name.isascii() else 2)}
