"""Put the text of a page into lines, as a browser does: blanks join, and marks say where lines end."""

from __future__ import annotations

import re

# signs for private use, which are taken out of the page's own text before
LINE = "\ue000"
"""Ends a line, if it has not ended."""
PARAGRAPH = "\ue001"
"""Ends a paragraph: an empty line follows."""
HARD = "\ue002"
"""Ends a line in any case."""
SPACE = "\ue003"
"""A blank that stays."""
_MARKS = re.compile("[\ue000-\ue003]")
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")
_ENDS = re.compile(" ?[\ue000-\ue002][\ue000-\ue002 ]*")


def without_marks(text: str) -> str:
    """Return a text without signs that are marks here."""
    return _MARKS.sub("", text)


def protected(text: str) -> str:
    """Return a text whose blanks and lines stay as they are."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    return lines.replace("\n", HARD).replace(" ", SPACE).replace("\xa0", SPACE)


def settled(text: str) -> str:
    """Return a text with marks as lines."""
    flat = _BLANKS.sub(" ", text)
    lines = _ENDS.sub(lambda found: "\n" * _count(found[0].replace(" ", "")), flat)
    return lines.strip(" \n").replace(SPACE, " ").rstrip().strip("\n")


def _count(marks: str) -> int:
    """Return how many line ends a row of marks stands for."""
    hard = marks.count(HARD)
    if not marks.startswith(HARD):
        hard += bool(hard)
    return max(hard, 2 if PARAGRAPH in marks else 1)
