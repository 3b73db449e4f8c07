"""Find the months that a text names, in many languages, and those of its dates in digits."""

from __future__ import annotations

import re
from functools import cache

from qwendesk.agents.checks.human_claims import normalize

_LANGUAGES = (
    "en", "de", "fr", "es", "pt", "it", "nl", "sv", "da", "nb", "fi", "pl", "cs", "sk", "hr", "ro", "hu", "tr", "el",
    "ru", "uk", "bg", "ar", "fa", "he", "hi", "id", "vi", "sw",
)  # fmt: skip
_DATE = re.compile(
    r"(?<![\d.:])(?:\d{4}[-/.](?P<iso>\d{1,2})[-/.]\d{1,2}|(?P<one>\d{1,2})[-/.](?P<two>\d{1,2})[-/.](?:\d{4}|\d{2}))(?!\d)|"
    r"(?P<dense>\d{1,2})\s?[月월]"
)
_BEFORE = r"\d(?:st|nd|rd|th|er|re|[.ºª])?(?: (?:of|de|di|d'|del))? ?"
_BEHIND = r"(?:,? (?:the |de |den )?\d)"


def months_in(text: str) -> set[int]:
    """Return the months beside a number in a text, 1 to 12; of a date such as 3/5/2024 both that may be meant."""
    folded = normalize(text)
    names = _names()
    found = {names[next(filter(None, match.groups()))] for match in _named().finditer(folded)}
    for match in _DATE.finditer(folded):
        numbers = [int(value) for value in match.groupdict().values() if value]
        found.update(number for number in numbers if 1 <= number <= 12)
    return found


@cache
def _names() -> dict[str, int]:
    from babel.dates import get_month_names

    names = dict[str, int]()
    for language in _LANGUAGES:
        # abbreviations of other languages are words such as "set"
        for width in ("wide", "abbreviated") if language == "en" else ("wide",):
            for context in ("format", "stand-alone"):
                for month, name in get_month_names(width, context, language).items():
                    names.setdefault(normalize(name).rstrip("."), month)
    return {name: month for name, month in names.items() if len(name) >= (3 if name.isascii() else 2)}


@cache
def _named() -> re.Pattern[str]:
    names = "|".join(re.escape(name) for name in sorted(_names(), key=len, reverse=True))
    return re.compile(rf"{_BEFORE}({names})(?!\w)|(?<!\w)({names})\.?{_BEHIND}")
