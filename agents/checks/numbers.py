"""Find the numbers, units and times of day in a text, in the formats of many languages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import product
from typing import Literal

from qwendesk.tools.number_formats import convention_of, joined_groups, plain_digits, readings

_NUMBER = re.compile(r"(?<![0-9A-Za-z_.,])(?<![0-9][-:/])-?\d+(?:[.,]\d+)*(?![0-9_])(?![-:/]\d)")
_TIME = re.compile(
    r"(?<![\d:.,])(\d{1,2})(?::|\.(?=\d\d\s?(?:Uhr|uur)\b))([0-5]\d)(?::[0-5]\d)?(?![\d:])(?:\s?([ap])\.?m\b)?",
    re.IGNORECASE,
)
_OFFSET = re.compile(r"(?:UTC|GMT)\s?[+-]\d{1,2}(?::?\d{2})?")
_LETTER = re.compile(r"[^\W\d_]")
_LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl", "pl", "ru", "uk", "tr", "ar", "hi", "zh", "ja", "ko")
_MAX_DIGITS = 300
"""Maximum length of a number; Python converts longer ones slowly or not at all."""
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
    "gbp": "GBP",
    "¥": "JPY",
    "jpy": "JPY",
    "円": "JPY",
    "元": "CNY",
    "cny": "CNY",
    "chf": "CHF",
    "₹": "INR",
}
_WORKING = "working|business|full|whole|calendar|рабочих|робочих|календарных|volle|vollen|個|个"
"""Words between a number and its unit."""
_MORE_UNITS = {
    "EUR": "欧元 歐元 ユーロ 유로 евро євро ευρώ يورو यूरो",
    "USD": "dollar dollars dólar dólares dollaro dollari dolar 美元 ドル 달러 доллар доларів دولار",
    "JPY": "yen 日元",
    "CNY": "yuan 人民币",
    "temperature-celsius": "celsius цельсия 摄氏度 攝氏度 摂氏 섭씨",
    "temperature-fahrenheit": "fahrenheit фаренгейта 华氏度 華氏度 華氏 화씨",
    "cent": "cent cents centime centimes céntimo céntimos cêntimo centesimi цент центов",
    "duration-day": "werktag werktage arbeitstag arbeitstage werkdag werkdagen arbetsdagar arbejdsdage arbeidsdager "
    "hverdager vardagar hverdage 工作日 營業日 营业日 営業日 영업일 дней дня дні днів",
}
"""Units in words that are not those of the Unicode locales."""
_PREPOSITIONS = frozenset(("in", "a", "an", "po", "pi", "mi", "sa", "d", "s", "t", "ay", "j", "с", "м", "р", "л"))
"""Short units that are words of a sentence as well: units only where no word follows."""
_BETWEEN = re.compile(rf"\s?(?:{_WORKING})(?=\s|[^\W\d_])\s?", re.IGNORECASE)
_WORD_BEHIND = re.compile(r"\s+[^\W\d_]|[^\W\d_]")
_MAX_PREFIX_CHARS = 8
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
    numbers = list(_NUMBER.finditer(text))
    found = [_stated(number, text, language) for number in numbers]
    taken = {at for number in numbers for at in range(number.start(), number.end())}
    parts = [one for one in re.finditer(r"(?<!\d)\d{1,300}(?!\d)", text) if one.start() not in taken]
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


def unit_of_word(word: str) -> str:
    """Return the unit that a word stands for, in one spelling for all languages; empty if it stands for none."""
    # many languages inflect the names of units
    forms = [word, *(word[:-ending] for ending in (1, 2, 3) if len(word) >= 4 + ending)]
    return next((unit for form in forms if (unit := _unit_words().get(form.lower()))), "")


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
    if len(digits) > _MAX_DIGITS:
        return []
    known = language if language and convention_of(language) == "point" else None
    try:
        return [one.text for one in readings(digits, known, written="")]
    except ValueError:
        return []


def _find_unit(text: str, number: re.Match[str]) -> tuple[str, str]:
    """Return the unit behind a number or the currency before it, and the number as written."""
    if before := _CURRENCY_PREFIX.search(text[max(0, number.start() - _MAX_PREFIX_CHARS) : number.start()]):
        return _CURRENCY_SIGNS[before[1].lower()], f"{before[0]}{number[0]}"
    behind = text[number.end() : number.end() + 40]
    if between := _BETWEEN.match(behind):
        behind = f" {behind[between.end() :]}"
    for word in _unit_candidates(behind):
        if unit := _unit_words().get(word.lower()):
            if word.lower() in _PREPOSITIONS and _WORD_BEHIND.match(behind[behind.index(word) + len(word) :]):
                continue
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
    for unit, line in _MORE_UNITS.items():
        words.update(dict.fromkeys(line.split(), unit))
    units = [f"{kind}-{name}" for kind, names in _UNITS.items() for name in names]
    for language, unit, number in product(_LANGUAGES, units, (1, 2, 5)):
        for length in _UNIT_LENGTHS:
            written = format_unit(number, unit, length, locale=language)
            word = re.sub(r"[\d\s\u200f\u061c]+", "", written).strip(".").lower()
            if _LETTER.search(word):
                words.setdefault(word, unit)
    return words
