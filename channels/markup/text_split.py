"""Split text at the ends of sentences, then of words, then at any character."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence

Fits = Callable[[str], bool]
_AFTER_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？｡])|\n")
_AFTER_WORD = re.compile(r"\s+")
_JOINERS = {"\u200d", "\ufe0e", "\ufe0f"}
_MARK = re.compile(
    r"(?P<link>!?\[[^\[\]\n]*\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*\)|<[a-z]+:[^<>\s]+>)|(?P<mark>`+|\*+|~~|_+)"
)
"""A link, or a mark that can begin or end code or emphasis."""
_AHEAD = 8192
"""Number of characters after a cut that are searched for the end of a span."""
_BLOCK = re.compile(r"(?P<sign>[#>|`~=+*_-])|(?P<number>\d{1,9})(?P<point>[.)])")
"""Start of a line that can begin a block other than a paragraph."""


def split_plain(text: str, fits: Fits) -> list[str]:
    """Return the parts of a text without markup."""
    parts = []
    while text and not fits(text):
        end = _end(text, fits)
        parts.append(text[:end].rstrip())
        text = text[end:].lstrip("\n ")
    return [part for part in [*parts, text] if part.strip()]


def split_paragraph(text: str, fits: Fits) -> list[str]:
    """Return the parts of one Markdown block; emphasis and code that span a cut are closed and reopened."""
    parts: list[str] = []

    def within(part: str) -> bool:
        return fits(_escaped(part) if parts else part)

    while text and not within(text):
        end = _end(text, within)
        mark = _mark_at(text, end)
        if mark and not within(text[:end].rstrip() + mark):
            mark = ""
        part = text[:end].rstrip() + mark
        text = mark + text[end:].lstrip("\n\t ")
        parts.append(_escaped(part) if parts else part)
    return [part for part in [*parts, _escaped(text) if parts else text] if part.strip()]


def split_characters(text: str, fits: Fits) -> Iterator[str]:
    """Yield the parts of a line, cut between any characters."""
    while text and not fits(text):
        end = _last_character(text, fits)
        yield text[:end]
        text = text[end:]
    yield text


def count_fitting(cuts: Sequence[int], fits: Callable[[int], bool]) -> int:
    """Return the number of cuts that fit before the first that does not."""
    low, high = 0, 1
    while high <= len(cuts) and fits(cuts[high - 1]):  # exponential search: rendering a long text is slow
        low, high = high, high * 2
    high = min(high - 1, len(cuts))
    while low < high:
        middle = (low + high) // 2
        if fits(cuts[middle]):
            low = middle + 1
        else:
            high = middle
    return low


def _escaped(text: str) -> str:
    """Return the continuation of a paragraph, escaped so that it begins no other block."""
    if not (found := _BLOCK.match(text)):
        return text
    place = found.start("point") if found["number"] else 0
    return f"{text[:place]}\\{text[place:]}" if _begins_block(text, found) else text


def _begins_block(text: str, found: re.Match[str]) -> bool:
    sign, after = found["sign"] or "", text[found.end() : found.end() + 1]
    if sign in ("`", "~", "*", "=", "-", "_"):
        return text.startswith((sign * 3, f"{sign} ", f"{sign}\t", f"{sign}\n")) or text == sign
    return sign in (">", "|", "#") or after in ("", " ", "\t", "\n")


def _end(text: str, fits: Fits) -> int:
    return _last_cut(text, _AFTER_SENTENCE, fits) or _last_cut(text, _AFTER_WORD, fits) or _last_character(text, fits)


def _last_cut(text: str, between: re.Pattern[str], fits: Fits) -> int:
    """Return the last cut of a fitting part that lies outside of spans; 0 if there is none."""
    cuts = [found.end() for found in between.finditer(text) if 0 < found.end() < len(text)]
    fitting = cuts[: count_fitting(cuts, lambda cut: fits(text[:cut].rstrip()))]
    if not fitting:
        return 0
    spans = [(start, end) for start, end, _ in _spans(text[: fitting[-1] + _AHEAD])]
    best = next((cut for cut in reversed(fitting) if not _tears(spans, cut)), 0)
    # prefer a cut within a span to a part of less than half the size
    return best if best * 2 >= fitting[-1] else fitting[-1]


def _tears(spans: Sequence[tuple[int, int]], cut: int) -> bool:
    place = bisect_right(spans, cut, key=lambda span: span[0]) - 1
    return place >= 0 and spans[place][0] < cut < spans[place][1]


def _mark_at(text: str, cut: int) -> str:
    """Return the mark of the emphasis or code that contains a cut; empty if there is none."""
    spans = _spans(text[: cut + _AHEAD])
    return next((mark for start, end, mark in spans if start + len(mark) < cut < end - len(mark)), "")


def _spans(text: str) -> list[tuple[int, int, str]]:
    """Return the spans of code, emphasis and links with their marks; links have none."""
    found = list(_MARK.finditer(text))
    ends: dict[str, list[int]] = {}
    for one in found:
        if one["mark"] and not text[one.start() - 1 : one.start()].isspace():
            ends.setdefault(one["mark"], []).append(one.start())
    spans: list[tuple[int, int, str]] = []
    for one in found:
        if spans and one.start() < spans[-1][1]:
            continue
        mark = one["mark"] or ""
        if not mark:
            spans.append((*one.span(), ""))
        elif _opens(text, one):
            closing = ends.get(mark, [])
            place = bisect_right(closing, one.end())
            spans += [(one.start(), closing[place] + len(mark), mark)] if place < len(closing) else []
    return spans


def _opens(text: str, mark: re.Match[str]) -> bool:
    before, after = text[mark.start() - 1 : mark.start()] if mark.start() else "", text[mark.end() : mark.end() + 1]
    inside = mark[0] in ("*", "_") and before.isalnum() and before.isascii()
    return mark[0][0] == "`" or not (inside or not after or after.isspace())


def _last_character(text: str, fits: Fits) -> int:
    end = max(1, count_fitting(range(1, len(text) + 1), lambda cut: fits(text[:cut])))
    best = end
    while best > 1 and best < len(text) and _joined(text, best):
        best -= 1
    return best if best > 1 else end


def _joined(text: str, place: int) -> bool:
    """Return whether the characters on both sides form one grapheme."""
    after = text[place]
    return bool(unicodedata.combining(after)) or after in _JOINERS or text[place - 1] == "\u200d"
