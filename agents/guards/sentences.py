"""Split a streamed answer into the parts that guards check: sentences, list items, rows and lines of code."""

from __future__ import annotations

from collections.abc import Iterator

import regex

from qwendesk.agents.guards.base import Sentence
from qwendesk.quotations import QUOTED

_CLOSERS = r"[\"'”’»)\]」』）】*_]*"
_END = regex.compile(
    rf"\n|[.!?…؟۔।॥፧‼⁇;]+{_CLOSERS}(?=\s)|[。！？｡]+{_CLOSERS}(?=[^\"'”’»)\]」』）】*_。！？])|"
    r"(?<=[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[ ](?=\S)"
)
_END_SIGNS = frozenset("\n.!?…؟۔।॥፧‼⁇;。！？｡")
_UNSPACED = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_QUOTATION = regex.compile(QUOTED)
_OPEN_QUOTE = regex.compile(r"[\"“„«「『‚‹]")
_ABBREVIATION = regex.compile(
    r"(?:^|[\s(])(?:\p{L}|\d{1,2}|(?:\p{L}\.)+\p{L}|"
    r"(?i:Dr|Mrs?|Ms|Prof|St|Sra?|Sig|Mme|Nr|No|Art|Tel|Hr|Fr|bzw|ca|vs|etc|Inc|Ltd))\.\Z"
)
"""A point that ends no sentence: of a numbered item, an initial, "Dr." or "e.g."."""
_FENCE_START = regex.compile(r"[\s>]*(?:[-*+] +|\d{1,3}[.)] +)?(?:```|~~~)")
_FENCE = regex.compile(r"[\s>]*(?:[-*+] +|\d{1,3}[.)] +)?(?P<marks>`{3,}|~{3,})(?P<info>[^`\n]*)\n?\Z")
"""A line that opens or closes a block of code; in a list or a quotation, too."""
_MIN_UNSPACED = 60
"""Minimum length of a part that ends at a space, in scripts whose sentences end without a sign."""
_MAX_QUOTING, _MAX_PART = 300, 600
"""Characters behind which a part ends in spite of an open quotation, and anyway."""
_LOOK_BACK = 12
"""Characters of a text that are searched again when more of it comes."""


class SentenceSplitter:
    """Collects the chunks of an answer and returns each part as soon as it is complete."""

    def __init__(self) -> None:
        self.pending = ""
        """The text of the part that is not complete yet."""
        self._searched = 0
        self._fence = ""
        self._has_open_span = False
        self._has_no_end = False

    def feed(self, text: str) -> list[Sentence]:
        """Add a chunk; return the parts that it completes."""
        self.pending += text
        if self._has_no_end and _END_SIGNS.isdisjoint(text) and len(self.pending) <= _MAX_PART:
            return []
        parts, start = list[Sentence](), 0
        while (end := self._end_of_part(start)) is not None:
            parts.append(self._part(self.pending[start:end]))
            start = self._searched = end
        self.pending = self.pending[start:]
        self._searched = max(0, len(self.pending) - _LOOK_BACK)
        self._has_no_end = _END_SIGNS.isdisjoint(self.pending) and not _UNSPACED.search(self.pending)
        return parts

    def flush(self) -> list[Sentence]:
        """Return the last part."""
        rest, self.pending, self._searched = self.pending, "", 0
        return [self._part(rest)] if rest else []

    def _part(self, text: str) -> Sentence:
        opened, was_code = _FENCE.match(text), bool(self._fence)
        if was_code:
            closes = opened and not opened["info"].strip() and opened["marks"].startswith(self._fence)
            self._fence = "" if closes else self._fence
        elif opened and not self._has_open_span:
            self._fence = opened["marks"]
        else:
            self._has_open_span ^= text.count("```") % 2 == 1
        return Sentence(text, is_code=was_code or bool(self._fence))

    @property
    def is_in_code(self) -> bool:
        """Whether the text ends inside of a block of code."""
        return bool(self._fence)

    def _end_of_part(self, start: int) -> int | None:
        """Return where the part that begins at ``start`` ends; None if more text may belong to it."""
        if self._fence or _FENCE_START.match(self.pending, start):
            line = self.pending.find("\n", max(start, self._searched))
            return line + 1 if line >= 0 else self._forced(start)
        limit = start + _MAX_PART
        for found in self._ends(max(start, self._searched), limit):
            part = self.pending[start : found.end()]
            if found[0] == "\n" or not _is_inside(part, found[0]):
                return int(found.end())
        return self._forced(start)

    def _ends(self, since: int, limit: int) -> Iterator[regex.Match[str]]:
        yield from _END.finditer(self.pending, since, min(limit + 1, len(self.pending)))

    def _forced(self, start: int) -> int | None:
        if len(self.pending) - start <= _MAX_PART:
            return None
        space = self.pending.rfind(" ", start + 1, start + _MAX_PART)
        return space if space > start else start + _MAX_PART


def _is_inside(part: str, sign: str) -> bool:
    """Return whether a sign ends no sentence: in a quotation, behind an abbreviation, or too early."""
    if sign == " ":
        return len(part) < _MIN_UNSPACED
    if sign.startswith(".") and _ABBREVIATION.search(part[-_LOOK_BACK:]):
        return True
    return len(part) < _MAX_QUOTING and _OPEN_QUOTE.search(_QUOTATION.sub("", part)) is not None


def sentences_of(text: str) -> list[Sentence]:
    """Return the parts of a whole text."""
    splitter = SentenceSplitter()
    return [*splitter.feed(text), *splitter.flush()]
