"""Parse numbers in the formats of all countries, and report ambiguous ones.

``1.000`` is one in English and a thousand in German. An ambiguous number is resolved by another number of the same text
that has only one reading, then by the language of the number's author.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Convention = Literal["point", "comma"]
"""The decimal separator; the other character groups digits."""
_BLANKS = dict.fromkeys(map(ord, "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f"), " ")
_ODD = str.maketrans({"．": ".", "，": ",", "⁄": "/", "∕": "/"})
_LRM = dict.fromkeys(map(ord, "\u200b\u200e\u200f\u2060\u2066\u2067\u2068\u2069\ufeff"), None)
_APOSTROPHES = "'’ʼ‘`´′"
_GROUPED = re.compile(rf"(?<![\w.,])(\d{{1,3}})((?:([ {_APOSTROPHES}])\d{{3}})(?:\3\d{{3}})*)(?![\d{_APOSTROPHES}])")
_UNDERSCORES = re.compile(r"(?<!\w)\d+(?:_\d+)+(?!\w)")
_ARABIC = re.compile(r"(?<=\d)٬(?=\d{3}(?!\d))")
_ARABIC_POINT = re.compile(r"(\d)٫(\d+)")
_TOKEN = re.compile(r"(?<![\w.,])\d+(?:[.,]\d+)+(?![\w]*[.,]?\d)")
_MIXED = ("es", "ar")
"""Languages whose countries use different decimal separators."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A text with all numbers in plain digits with a decimal point, and the chosen meaning of its numbers."""

    text: str
    taken: str = ""
    """The meaning, such as ``1.000 means 1000``; empty if the text is unambiguous."""


def plain_digits(text: str) -> str:
    """Return a text with the digits of all scripts as 0 to 9, and all Unicode spaces as plain ones."""
    if not text.isascii():
        text = text.translate(_BLANKS).translate(_LRM).translate(_ODD)
        text = "".join(str(unicodedata.decimal(sign)) if sign.isdecimal() else sign for sign in text)
        text = _ARABIC_POINT.sub(lambda found: f"{found[1]}.{found[2]}{'0' * (len(found[2]) == 3)}", text)
        text = _ARABIC.sub("", text)
    return text


def readings(text: str, language: str | None = "en", written: str | None = None) -> list[Reading]:
    """Return the readings of a text with numbers: usually one, two if a number is ambiguous.

    Args:
        text: the text, such as an expression.
        language: the person's language, such as ``de`` or ``es-MX``; None if unknown.
        written: the person's text; the language of a number outside of it is unknown. None: the text itself is the
            person's.

    Raises:
        ValueError: a number has no reading; the text names it.
    """
    text = joined_groups(plain_digits(text))
    tokens = list(dict.fromkeys(_TOKEN.findall(text)))
    values = {token: _values(token) for token in tokens}
    open_tokens = [token for token in tokens if len(set(values[token].values())) > 1]
    known = None if written is None else joined_groups(plain_digits(written))
    convention = _convention(values, open_tokens, language, known)
    if convention or not open_tokens:
        return [Reading(_replaced(text, values, convention or "point"))]
    return [
        Reading(
            _replaced(text, values, one),
            ", ".join(f"{token} means {shown_value(values[token][one])}" for token in open_tokens),
        )
        for one in _conventions(open_tokens)
    ]


def joined_groups(text: str) -> str:
    """Return a text without spaces, apostrophes or underscores that group digits by threes.

    Raises:
        ValueError: a text such as ``12 500/1000`` is either a fraction of a grouped number or a mixed number.
    """
    text = _UNDERSCORES.sub(lambda found: found[0].replace("_", ""), text)
    return _GROUPED.sub(_joined, text)


def shown_value(text: str) -> str:
    """Return a number without insignificant zeros."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def _joined(found: re.Match[str]) -> str:
    after = re.match(r"/(\d+)", found.string[found.end() :])
    last = found[2][-3:]
    if found[3] == " " and after and not last.startswith("0") and int(last) < int(after[1]):
        raise ValueError(
            f"'{found[0]}{after[0]}' may be mixed, or ({found[0].replace(' ', '')}){after[0]}: write one of both."
        )
    return found[1] + re.sub(r"\D", "", found[2])


def _values(token: str) -> dict[Convention, str]:
    """Return the values of a number by decimal separator."""
    found: dict[Convention, str] = {}
    for name, point, group in (("point", ".", ","), ("comma", ",", ".")):
        if (value := _value(token, point, group)) is not None:
            found[name] = value  # type: ignore[index]  # the names above are those of the type
    if not found:
        raise ValueError(
            f"{token!r} is no number that can be read: write it in plain digits, with a point for decimals."
        )
    return found


def _value(token: str, point: str, group: str) -> str | None:
    whole, sign, decimals = token.rpartition(point) if token.count(point) == 1 else (token, "", "")
    if group in decimals or point in whole:
        return None
    if group in whole and not _is_grouped(whole, group):
        return None
    return whole.replace(group, "") + (f".{decimals}" if sign else "")


def _is_grouped(whole: str, group: str) -> bool:
    """Return whether digits are grouped by threes, or in the Indian system: the last three, the others by twos."""
    first, *rest = whole.split(group)
    if first.startswith("0") or not 1 <= len(first) <= 3 or len(rest[-1]) != 3:
        return False
    return all(len(part) == 3 for part in rest) or (len(first) <= 2 and all(len(part) == 2 for part in rest[:-1]))


def _convention(
    values: dict[str, dict[Convention, str]], tokens: Sequence[str], language: str | None, written: str | None
) -> Convention | None:
    """Return the convention that the text or the language indicates; None if they conflict or neither decides."""
    certain = {token: next(iter(found)) for token, found in values.items() if len(found) == 1}
    if len(strong := {certain[token] for token in certain if len(re.findall("[.,]", token)) > 1}) == 1:
        return next(iter(strong))
    of_language = _of_language(language, tokens, written)
    if not certain:
        return of_language
    shown = set(certain.values())
    agrees = len(shown) == 1 and (not language or language in _MIXED or convention_of(language) in shown)
    return next(iter(shown)) if agrees else None


def _of_language(language: str | None, tokens: Sequence[str], written: str | None) -> Convention | None:
    """Return the convention of the person's language if it applies.

    It applies if the person wrote all of the numbers, or if it is the decimal point, which models use.
    """
    if not language or (language in _MIXED):
        return None
    convention = convention_of(language)
    theirs = written is None or all(token in written for token in tokens)
    return convention if theirs or convention == "point" else None


@lru_cache(maxsize=256)
def convention_of(language: str) -> Convention:
    """Return the decimal separator of a language."""
    from babel import Locale, UnknownLocaleError
    from babel.numbers import get_decimal_symbol

    try:
        locale = Locale.parse(language.replace("-", "_"))
    except (UnknownLocaleError, ValueError):
        return "point"
    return "comma" if get_decimal_symbol(locale, numbering_system="latn") == "," else "point"


def _conventions(tokens: Iterable[str]) -> tuple[Convention, Convention]:
    """Return both conventions, first the one for which the first number is large."""
    return ("comma", "point") if "." in next(iter(tokens)) else ("point", "comma")


def _replaced(text: str, values: dict[str, dict[Convention, str]], convention: Convention) -> str:
    def value(found: re.Match[str]) -> str:
        known = values[found[0]]
        return known.get(convention) or next(iter(known.values()))

    return _TOKEN.sub(value, text)
