"""Search terms of texts for the full-text index, the same on every database, for all scripts.

Words are folded (case, width, accents, vowel signs, invisible signs). Scripts without spaces between words, and Korean,
whose words carry endings, are cut into overlapping pairs, which finds words of two signs and needs no dictionary. A
passage is indexed by its single signs too, so that a word of one sign is found.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import regex

MAX_TERM_CHARS = 48
"""Maximum letters of a term."""
TERMS_VERSION = 2
"""Version of the rules; when it changes, ``reindex`` computes stored terms again."""
_LETTERS = str.maketrans(
    {
        # letters with strokes and ligatures that Unicode does not decompose
        **{"ı": "i", "ł": "l", "ø": "o", "đ": "d", "ð": "d", "ħ": "h", "ŧ": "t", "æ": "ae", "œ": "oe", "þ": "th"},
        # Arabic and Persian variants of letters; the tatweel
        **{"ى": "ي", "ی": "ي", "ے": "ي", "ک": "ك", "ة": "ه", "ہ": "ه", "ھ": "ه", "ٱ": "ا", "ـ": ""},
        # Hebrew abbreviation marks
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
    # the prolonged sound mark and iteration marks belong to several scripts
    return regex.compile(rf"([{signs}\u30fc\u3005][{signs}\u30fc\u3005\p{{M}}]*)")


@cache
def _may_be_word() -> regex.Pattern[str]:
    """Pattern of characters that can be a word alone; single kana are endings or particles."""
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
    """Soft hyphens, joiners, variation selectors and direction marks, which do not separate words."""
    return regex.compile(r"\p{Default_Ignorable_Code_Point}+")


@cache
def _final_long_mark() -> regex.Pattern[str]:
    """An optional prolonged sound mark at the end of a katakana word."""
    return regex.compile(r"(?<=[\p{Script=Katakana}\u30fc]{3})\u30fc(?![\p{Script=Katakana}\u30fc])")


@cache
def _power() -> regex.Pattern[str]:
    """A superscript or subscript digit after a digit: 10³ is not 103."""
    return regex.compile(r"(?<=\d)(?=[⁰¹²³⁴-⁹₀-₉])")


@cache
def _digit() -> regex.Pattern[str]:
    return regex.compile(r"[\p{Nd}--[0-9]]", regex.V1)


def index_terms(text: str) -> list[str]:
    """Return the index terms of a passage in order, with repetitions."""
    return _terms(text, singles=True)


def query_terms(text: str) -> list[str]:
    """Return the search terms of a question; single characters only if they stand alone."""
    return _terms(text, singles=False)


def _terms(text: str, *, singles: bool) -> list[str]:
    parts = (part for word in _words(text) for part in _parts(word))
    return [term[:MAX_TERM_CHARS] for part in parts for term in _pairs(part, singles=singles)]


def fold(text: str) -> str:
    """Fold case, width, accents, vowel signs and invisible characters."""
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
    """Split a word where a script without spaces begins or ends."""
    return [word] if word.isascii() else [part for part in _unspaced().split(word) if part]


def _pairs(part: str, *, singles: bool) -> list[str]:
    if part.isascii() or not _unspaced().match(part):
        return [part]
    signs: list[str] = _cluster().findall(part)
    pairs = [a + b for a, b in zip(signs, signs[1:], strict=False)]
    if not pairs:
        return signs
    return pairs + [sign for sign in signs if _may_be_word().match(sign)] if singles else pairs
