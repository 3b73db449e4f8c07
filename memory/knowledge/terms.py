"""Texts as terms for the full-text index: the same in every database, in any script.

Words are folded (case, width, accents). Scripts without spaces between words, and Korean, whose words carry endings,
are cut into overlapping pairs, which finds words of two signs and needs no dictionary.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import regex

LONGEST = 48
"""Letters of a term that count."""


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
def _cluster() -> regex.Pattern[str]:
    return regex.compile(r"\X")


@cache
def _accent() -> regex.Pattern[str]:
    return regex.compile(r"(?<=[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}])\p{M}+")


def terms(text: str) -> list[str]:
    """Return a text's terms in order, repeated ones too."""
    return [term[:LONGEST] for word in _word().findall(fold(text)) for term in _pieces(word)]


def fold(text: str) -> str:
    """Make texts alike that differ only in case, width or accents."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = _accent().sub("", unicodedata.normalize("NFD", folded))
    return unicodedata.normalize("NFC", bare)


def _pieces(word: str) -> list[str]:
    if word.isascii():
        return [word]
    return [term for part in _unspaced().split(word) if part for term in _pairs(part)]


def _pairs(part: str) -> list[str]:
    if not _unspaced().match(part):
        return [part]
    signs = _cluster().findall(part)
    return [a + b for a, b in zip(signs, signs[1:], strict=False)] or signs
