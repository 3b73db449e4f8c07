"""Texts as terms for the full-text index: the same in every database, in any script.

Words are folded (case, width, accents, vowel signs, invisible signs). Scripts without spaces between words, and Korean,
whose words carry endings, are cut into overlapping pairs, which finds words of two signs and needs no dictionary. A
passage is indexed by its single signs too, so that a word of one sign is found.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import regex

LONGEST = 48
"""Letters of a term that count."""
VERSION = 2
"""Raise it when texts are folded or cut differently, so that ``reindex`` computes the stored terms anew."""
_LETTERS = str.maketrans(
    {
        # letters with strokes and ligatures, which Unicode does not decompose
        **{"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"},
        # Arabic and Persian forms of one letter; the sign that stretches a word
        **{"ى": "ي", "ی": "ي", "ے": "ي", "ک": "ك", "ة": "ه", "ہ": "ه", "ھ": "ه", "ٱ": "ا", "ـ": ""},
        # the marks of Hebrew abbreviations
        **{"״": "", "׳": ""},
    }
)


@cache
def _word() -> regex.Pattern[str]:
    return regex.compile(r"[\p{L}\p{M}\p{N}]+")


@cache
def _unspaced() -> regex.Pattern[str]:
    scripts = ("Han", "Hiragana", "Katakana", "Hangul", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar")
    signs = "".join(rf"\p{{Script={name}}}" for name in scripts)
    # the long vowel mark and the iteration marks belong to several scripts
    return regex.compile(rf"([{signs}\u30fc\u3005][{signs}\u30fc\u3005\p{{M}}]*)")


@cache
def _may_be_word() -> regex.Pattern[str]:
    """A sign that may be a word by itself: one of kana is an ending or a particle."""
    return regex.compile(r"[\p{Script=Han}\p{Script=Hangul}]")


@cache
def _cluster() -> regex.Pattern[str]:
    return regex.compile(r"\X")


@cache
def _accent() -> regex.Pattern[str]:
    scripts = "".join(rf"\p{{Script={name}}}" for name in ("Latin", "Greek", "Cyrillic", "Arabic", "Hebrew"))
    return regex.compile(rf"(?<=[{scripts}])\p{{M}}+")


@cache
def _invisible() -> regex.Pattern[str]:
    """Soft hyphens, joiners, variation selectors, marks of direction: they part no word and change none."""
    return regex.compile(r"\p{Default_Ignorable_Code_Point}+")


@cache
def _final_long_mark() -> regex.Pattern[str]:
    """The long vowel mark at the end of a longer katakana word, which may be written or left out."""
    return regex.compile(r"(?<=[\p{Script=Katakana}\u30fc]{3})\u30fc(?![\p{Script=Katakana}\u30fc])")


@cache
def _power() -> regex.Pattern[str]:
    """A raised or lowered digit behind a digit: 10³ is not 103."""
    return regex.compile(r"(?<=\d)(?=[⁰¹²³⁴-⁹₀-₉])")


@cache
def _digit() -> regex.Pattern[str]:
    return regex.compile(r"[\p{Nd}--[0-9]]", regex.V1)


def terms(text: str) -> list[str]:
    """Return the terms that a passage is indexed by, in order, repeated ones too."""
    return [term[:LONGEST] for word in _words(text) for part in _parts(word) for term in _pairs(part, singles=True)]


def asked_terms(text: str) -> list[str]:
    """Return the terms by which a question is looked up: a single sign only where it stands alone."""
    return [term[:LONGEST] for word in _words(text) for part in _parts(word) for term in _pairs(part, singles=False)]


def fold(text: str) -> str:
    """Make texts alike that differ only in case, width, accents, vowel signs or invisible signs."""
    if text.isascii():
        return text.lower()
    parted = _power().sub(" ", _invisible().sub("", text))
    folded = unicodedata.normalize("NFKC", parted).casefold()
    bare = _accent().sub("", unicodedata.normalize("NFD", folded)).translate(_LETTERS)
    plain: str = _digit().sub(_plain_digit, _final_long_mark().sub("", unicodedata.normalize("NFC", bare)))
    return plain


def _plain_digit(found: Any) -> str:
    return str(unicodedata.digit(found[0]))


def _words(text: str) -> list[str]:
    found: list[str] = _word().findall(fold(text))
    return found


def _parts(word: str) -> list[str]:
    """Divide a word where a script without spaces begins or ends."""
    return [word] if word.isascii() else [part for part in _unspaced().split(word) if part]


def _pairs(part: str, *, singles: bool) -> list[str]:
    if part.isascii() or not _unspaced().match(part):
        return [part]
    signs: list[str] = _cluster().findall(part)
    pairs = [a + b for a, b in zip(signs, signs[1:], strict=False)]
    if not pairs:
        return signs
    return pairs + [sign for sign in signs if _may_be_word().match(sign)] if singles else pairs
