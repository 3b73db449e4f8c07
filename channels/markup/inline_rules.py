"""Inline rules for literals that contain markup characters: addresses, paths, identifiers, masked numbers."""

from __future__ import annotations

import builtins
from bisect import bisect_right
from collections.abc import Callable
from functools import cache, lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING

import regex

from qwendesk.text_caches import Forgotten

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
"""Pattern (regex version 1) of a character of scripts without spaces, their punctuation, or a pictogram."""
_IS_UNSPACED = regex.compile(UNSPACED, regex.VERSION1)
_ENDS = ".:!?;,…%)]}»”’"
"""Characters that end a sentence or a bracket."""
Span = tuple[int, int]
_SIGNS = "*_~\\"
_ADDRESS = regex.compile(
    rf"(?<![A-Za-z0-9])(?:[a-z][a-z0-9+.-]*://|www\.|mailto:)[[^\s<>`\"\[\]|\\]&&[\x21-\x7e\p{{L}}\p{{M}}\p{{N}}]--{UNSPACED}]+",
    regex.IGNORECASE | regex.VERSION1,
)
_MAIL = regex.compile(r"(?<![\w.+-])[A-Za-z0-9_.+~%'-]+@[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.[A-Za-z0-9-]+")
_HANDLE = regex.compile(r"(?<![\w/])[@#$][A-Za-z0-9_]*_[A-Za-z0-9_]*")
_MASKED = regex.compile(r"(?<=[A-Za-z0-9])(?:\*{4,}|(?<=\d)\*{3})(?=[A-Za-z0-9])")
"""Masked digits, as in ``138****1234``."""
_EVERY = regex.compile(r"\(\*\)|(?<=\w)\.\*(?=[\s,;)]|$)")
"""SQL stars, as in ``COUNT(*)`` and ``SELECT a.*, b.*``."""
_WORD = regex.compile(r"[^\s`<>\[\]()\"|（）「」『』，。、；：！？“”‘’]+")
_EMPHASIS = regex.compile(r"(?<!\*)(\*{1,3}|~~)(?![*~/.\s])[^*~]*?(?<![*~/\s])\1(?!\*)")
"""A pair of marks around words, as does not occur in glob patterns."""
_ROOTED = ("/", "./", "../", "~/")
_WINDOWS = regex.compile(
    r"[A-Za-z]:[\\/]|\\\\[\w.]|%\w+%\\|[\w.-]+\\(?=.*\\?[A-Za-z0-9])(?:[A-Za-z0-9]|_[^\\]*\\[A-Za-z0-9])"
)
_CHAINED = regex.compile(r"[A-Za-z0-9_]*(?:(?:\.|::|->|#|=|-)[A-Za-z0-9_]+)+")
_PATTERN = regex.compile(r"\*\.[a-z0-9]{1,5}")
_DUNDER = regex.compile(r"__[a-z0-9]+(?:_[a-z0-9]+)*__")
_MODULE_NAMES = frozenset(
    ("__main__", "__file__", "__all__", "__version__", "__future__", "__slots__", "__path__", "__annotations__")
)


def with_emphasis(parser: MarkdownIt) -> MarkdownIt:
    """Return the parser, extended to emphasis beside the punctuation of all scripts."""
    from markdown_it.rules_inline import emphasis, strikethrough

    parser.inline.ruler.at("emphasis", _widened(emphasis.tokenize))
    parser.inline.ruler.at("strikethrough", _widened(strikethrough.tokenize))
    return parser


def is_open(state: StateInline, mark: str, length: int) -> bool:
    """Return whether emphasis with marks of that kind and length is open at the current position."""
    same = [one for one in state.delimiters if one.marker == ord(mark) and one.length in (0, length)]
    return round(sum(1 / (one.length or 1) for one in same)) % 2 == 1


def _widened(tokenize: Rule) -> Rule:
    """Return a tokenizer rule whose marks can open and close emphasis at more positions."""

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


def with_literals(parser: MarkdownIt) -> MarkdownIt:
    """Return the parser, extended so that addresses, paths and identifiers stay as written."""
    parser.inline.ruler.before("text", "literal", _literal)
    return parser


def _literal(state: StateInline, silent: bool) -> bool:
    spans = _spans(state.src)
    place = bisect_right(spans, state.pos, key=itemgetter(0)) - 1
    if place < 0 or spans[place][1] <= state.pos:
        return False
    end = _closed(state, min(spans[place][1], state.posMax))
    if end <= state.pos:
        return False
    if not silent:
        state.pending += state.src[state.pos : end]
    state.pos = end
    return True


def _closed(state: StateInline, end: int) -> int:
    """Return the end within a literal of an emphasis opened before it; ``end`` if there is none."""
    for run in regex.finditer(r"\*+|_+|~~", state.src[:end], pos=state.pos):
        after = state.src[run.end() : run.end() + 1]
        inside = after.isascii() and (after.isalnum() or (after in "./" and after != ""))
        if not inside and is_open(state, run[0][0], len(run[0])):
            return int(run.start())
    return end


@lru_cache(maxsize=16)
def _spans(text: str) -> tuple[Span, ...]:
    """Return the spans of literals in a paragraph, in order."""
    if not any(sign in text for sign in _SIGNS):
        return ()
    found = [_trimmed(text, *match.span()) for match in _ADDRESS.finditer(text)]
    found += [_unwrapped(text, *match.span()) for kind in (_MAIL, _HANDLE) for match in kind.finditer(text)]
    found += [match.span() for kind in (_MASKED, _EVERY) for match in kind.finditer(text)]
    found += [span for match in _WORD.finditer(text) if (span := _word(text, *match.span()))]
    merged: list[Span] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            start, end = merged[-1][0], max(merged.pop()[1], end)
        merged.append((start, end))
    return tuple(merged)


def _trimmed(text: str, start: int, end: int) -> Span:
    """Exclude trailing punctuation of the sentence from an address."""
    while end > start:
        last = text[end - 1]
        unpaired = last == ")" and text.count(")", start, end) > text.count("(", start, end)
        if not (last in ".,;:!?'*_~" or unpaired):
            break
        end -= 1
    return start, end


def _unwrapped(text: str, start: int, end: int) -> Span:
    """Exclude underscores on both sides of a name, which are emphasis."""
    while start < end and text[start] == "_" and text[end : end + 1] == "_":
        start += 1
    while start < end and text[end - 1] == "_" and text[start - 1 : start] == "_":
        end -= 1
    return start, end


def _word(text: str, start: int, end: int) -> Span | None:
    """Return the part of a word that is a path, a glob pattern or an identifier."""
    word = text[start:end]
    if not any(sign in word for sign in _SIGNS):
        return None
    while end > start and text[end - 1] in ".,;:!?'":
        end -= 1
    while end > start and text[start] == "'":
        start += 1
    while True:
        if _is_name(text, start, end):
            return start, end
        if _is_emphasis(text[start:end]):
            return None
        mark = regex.match(r"(\*{1,3}|_{1,3}|~~)(?=[^*_~]|[*_~].*\1$)", text[start:end])
        size = len(mark[1]) if mark else 0
        if not mark or end - start <= 2 * size or text[end - size : end] != mark[1]:
            break
        start, end = start + size, end - size
    return _edged(text, start, end) if _is_path(text[start:end]) else None


def _edged(text: str, start: int, end: int) -> Span:
    """Exclude stars at the edges that belong to emphasis over several words."""
    if (lead := regex.match(r"(\*{1,3}|~~)(?![*/.])", text[start:end])) is not None:
        start += len(lead[0])
    if (trail := regex.search(r"(?<![*/.])(\*{1,3}|~~)$", text[start:end])) is not None:
        end -= len(trail[0])
    return start, end


def _is_name(text: str, start: int, end: int) -> bool:
    """Return whether a word is a Python name with double underscores."""
    word = text[start:end]
    return bool(_DUNDER.fullmatch(word)) and (text[end : end + 1] == "(" or word in _python_names())


def _is_emphasis(word: str) -> bool:
    """Return whether parts of a word are emphasised separately, as in ``**A**/**B**``."""
    if word.startswith(_ROOTED) or _WINDOWS.match(word):
        return False
    if any(len(found[0]) < len(word) for found in _EMPHASIS.finditer(word)):
        return True
    return "/" in word and all(regex.fullmatch(r"_+[^_]+_+", part) for part in word.split("/"))


def _is_path(word: str) -> bool:
    if _WINDOWS.match(word) or "/" in word:
        return True
    return bool(_CHAINED.fullmatch(word) or _PATTERN.fullmatch(word))


@cache
def _python_names() -> frozenset[str]:
    """Return Python's names with double underscores on both sides."""
    kinds = [kind for kind in vars(builtins).values() if isinstance(kind, type)]
    names = {name for kind in [*kinds, type(_word), type(builtins)] for name in dir(kind)}
    asked = {f"__{name}__" for name in ("enter", "exit", "aenter", "aexit", "await", "call", "getattr", "post_init")}
    return frozenset(name for name in names | asked | _MODULE_NAMES if _DUNDER.fullmatch(name))


async def drop_texts(_: Forgotten) -> None:
    """Clear the cache of paragraphs."""
    _spans.cache_clear()
