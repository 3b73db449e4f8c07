"""The scripts that languages are written in."""

from __future__ import annotations

from functools import cache

import regex

_TWO_SCRIPTS = {"sr": ("Latn", "Cyrl"), "uz": ("Latn", "Cyrl"), "kk": ("Cyrl", "Latn"), "az": ("Latn", "Cyrl")}
_PARTS = {"Jpan": ("Han", "Hira", "Kana"), "Hans": ("Han",), "Hant": ("Han",), "Kore": ("Hang", "Han")}
_MIN_SHARE = 0.5
"""Share of letters in the language's scripts; names and loan words are in others."""


@cache
def scripts_of(language: str) -> tuple[str, ...]:
    """Return the ISO 15924 codes of a language's scripts; empty if they are not known."""
    from babel.core import get_global

    if language in _TWO_SCRIPTS:
        return _TWO_SCRIPTS[language]
    parts = str(get_global("likely_subtags").get(language, "")).split("_")
    return _PARTS.get(parts[1], (parts[1],)) if len(parts) > 1 else ()


def is_in_script_of(language: str, text: str) -> bool:
    """Return whether most letters of a text are in a script of the language; True where either is not known."""
    letters = regex.findall(r"\p{L}", text)
    pattern = _pattern(language)
    if not letters or pattern is None:
        return True
    # one sign of a dense script says as much as several letters
    inside = sum(2.0 if sign >= "\u2e80" else 1.0 for sign in letters if pattern.match(sign))
    outside = sum(2.0 if sign >= "\u2e80" else 1.0 for sign in letters if not pattern.match(sign))
    return inside >= _MIN_SHARE * (inside + outside)


def shares_script(one: str, other: str) -> bool:
    """Return whether two languages are written in a common script."""
    return bool(set(scripts_of(one)) & set(scripts_of(other))) or not (scripts_of(one) and scripts_of(other))


@cache
def _pattern(language: str) -> regex.Pattern[str] | None:
    scripts = scripts_of(language)
    return regex.compile("|".join(rf"\p{{sc={script}}}" for script in scripts)) if scripts else None
