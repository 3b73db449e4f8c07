"""Where bold, italic and struck words begin and end in scripts that write no blanks between words.

CommonMark asks for a blank or a punctuation sign outside of a mark that stands beside punctuation, so that it takes
``是**“A”**的`` for stars. Here a mark beside a letter or a punctuation sign of such a script may begin and end
emphasis, and so may the second mark in ``**Note:**text``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import regex

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline

Rule = Callable[["StateInline", bool], bool]
UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Tai_Le}"
    r"\p{New_Tai_Lue}\p{Tai_Tham}\p{Tai_Viet}\p{Cham}\p{Javanese}\p{Balinese}\p{InCJKSymbolsAndPunctuation}"
    r"\p{InHalfwidthAndFullwidthForms}\p{InCJKCompatibilityForms}\p{InVerticalForms}\p{Extended_Pictographic}"
    r"\u200b\u2060\ufe0f--[0-9A-Za-z*#_]]"
)
"""One character of a script without blanks, of its punctuation, or a pictogram; as part of a pattern, version 1."""
_IS_UNSPACED = regex.compile(UNSPACED, regex.VERSION1)
_ENDS = ".:!?;,…%)]}»”’"
"""What ends a sentence or a bracket."""


def with_emphasis(reader: MarkdownIt) -> MarkdownIt:
    """Return the reader, which from now on knows emphasis beside the punctuation of all scripts."""
    from markdown_it.rules_inline import emphasis, strikethrough

    reader.inline.ruler.at("emphasis", _widened(emphasis.tokenize))
    reader.inline.ruler.at("strikethrough", _widened(strikethrough.tokenize))
    return reader


def is_open(state: StateInline, mark: str, length: int) -> bool:
    """Tell whether emphasis has begun before a place, by marks of that kind and length, and has not ended."""
    same = [one for one in state.delimiters if one.marker == ord(mark) and one.length in (0, length)]
    return round(sum(1 / (one.length or 1) for one in same)) % 2 == 1


def _widened(tokenize: Rule) -> Rule:
    """Return a rule of the library whose marks may begin and end emphasis at more places."""

    def rule(state: StateInline, silent: bool) -> bool:
        start, known = state.pos, len(state.delimiters)
        if not tokenize(state, silent):
            return False
        mark, length = state.src[start], state.pos - start
        before = state.src[start - 1] if start else " "
        after = state.src[state.pos] if state.pos < state.posMax else " "
        if mark == "_" or before.isspace() or after.isspace():
            return True
        fresh = state.delimiters[known:]
        del state.delimiters[known:]
        unspaced = bool(_IS_UNSPACED.fullmatch(before) or _IS_UNSPACED.fullmatch(after))
        ends = unspaced or (before in _ENDS and after.isalnum() and is_open(state, mark, length))
        for one in fresh:
            one.open, one.close = one.open or unspaced, one.close or ends
        state.delimiters.extend(fresh)
        return True

    return rule
