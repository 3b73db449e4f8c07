"""Whether a fact mentions something: whole words of any script, whatever their case and accents."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import regex

from qwendesk.memory.knowledge.terms import fold

_UNSPACED = ("Han", "Hiragana", "Katakana", "Hangul", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts without spaces between words, and Korean, whose words carry endings: there a part of a word is found."""
_LETTERS = str.maketrans("ıøłđ", "iold")
"""Letters with a stroke, which are no accents to Unicode."""


def mentioning(what: str) -> Callable[[str, str], bool] | None:
    """Return what tells whether a key and its value mention ``what``; None where it names nothing."""
    wanted = _bare(what.replace(":", " "))
    if not wanted:
        return None
    word = _of_a_word()
    before = rf"(?<!{word})" if regex.match(word, wanted[0], regex.V1) else ""
    after = rf"(?!{word})" if regex.match(word, wanted[-1], regex.V1) else ""
    pattern = regex.compile(before + regex.escape(wanted) + after, regex.V1)
    return lambda key, value: bool(pattern.search(_bare(f"{key} {value}")))


@cache
def _of_a_word() -> str:
    """Give the signs that may not stand beside a word that is found."""
    unspaced = "".join(rf"\p{{Script={name}}}" for name in _UNSPACED)
    return rf"[[\p{{L}}\p{{M}}\p{{N}}_]--[{unspaced}\u30fc\u3005]]"


@cache
def _points() -> regex.Pattern[str]:
    return regex.compile(r"(?<=[\p{Script=Arabic}\p{Script=Hebrew}])\p{M}+|\u0640")


def _bare(text: str) -> str:
    return " ".join(_points().sub("", fold(text)).translate(_LETTERS).split())
