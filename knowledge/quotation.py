"""Choose the sentences or rows of a passage that are quoted as an answer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import regex

from qwendesk.knowledge.chunking import text_length

MAX_QUOTE_CHARS = 480
"""Characters of a quotation; a shorter passage is quoted whole."""
_WRAPPED_LINE_CHARS = 50
"""Characters from which a line may be wrapped, so that the next one continues it."""
_MIN_SENTENCE_CHARS = 12
"""A shorter piece belongs to the sentence before it, as an abbreviation or a number does."""


@cache
def _sentence_end() -> regex.Pattern[str]:
    return regex.compile(r"(?<=[.!?…؟۔।][\"»”’)\]]?)\s+(?=[^\p{Ll}])|(?<=[。！？])(?![」』）])")


@cache
def _list_mark() -> regex.Pattern[str]:
    return regex.compile(r"\s*(?:[-*•|>]|\d+[.)])\s")


def split_sentences(text: str) -> list[str]:
    """Return the sentences of a text, and the rows and items of its tables and lists."""
    return [sentence for line in _lines(text) for sentence in _sentences(line)]


def choose_quote(text: str, scores: Sequence[float], limit: int = MAX_QUOTE_CHARS) -> str:
    """Return the best sentence of a text and its neighbours in their order, up to a length.

    Args:
        text: the passage.
        scores: a score for each of its sentences, as ``split_sentences`` returns them.
        limit: characters of the result; a single sentence may be longer.
    """
    sentences = split_sentences(text)
    best = max(range(len(sentences)), key=lambda place: scores[place])
    first = last = best
    length = len(sentences[best])
    while True:
        near = [place for place in (first - 1, last + 1) if 0 <= place < len(sentences)]
        near = [place for place in near if length + len(sentences[place]) <= limit]
        if not near:
            break
        chosen = max(near, key=lambda place: scores[place])
        length += len(sentences[chosen])
        first, last = min(first, chosen), max(last, chosen)
    of_line = [number for number, line in enumerate(_lines(text)) for _ in _sentences(line)]
    kept, lines = sentences[first : last + 1], of_line[first : last + 1]
    if header := _table_header(sentences, first):
        kept, lines = [*header, *kept], [*range(-len(header), 0), *lines]
    separators = ["", *("\n" if line != before else " " for before, line in zip(lines, lines[1:], strict=False))]
    return "".join(mark + sentence for mark, sentence in zip(separators, kept, strict=True))


def _table_header(sentences: list[str], first: int) -> list[str]:
    """Return the rows with the names of the columns above a row of a Markdown table."""
    if not sentences[first].startswith("|"):
        return []
    begin = first
    while begin and sentences[begin - 1].startswith("|"):
        begin -= 1
    rule = begin + 1
    has_rule = rule < len(sentences) and not set(sentences[rule]) - set("|-: ")
    return sentences[begin : min(begin + 2, first)] if has_rule else []


def _lines(text: str) -> list[str]:
    """Return the lines of a text, wrapped ones joined."""
    lines: list[str] = []
    is_open = False
    for line in text.splitlines():
        bare = line.strip()
        if bare and is_open and not _list_mark().match(line):
            lines[-1] += f" {bare}"
        elif bare:
            lines.append(bare)
        is_open = len(bare) >= _WRAPPED_LINE_CHARS and "; " not in bare
    return lines


def _sentences(line: str) -> list[str]:
    found: list[str] = []
    for piece in _sentence_end().split(line):
        if found and text_length(found[-1]) < _MIN_SENTENCE_CHARS:
            found[-1] += f" {piece}"
        elif piece:
            found.append(piece)
    return found
