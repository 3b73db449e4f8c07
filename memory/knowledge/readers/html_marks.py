"""The marks that stand for a page's layout while its text is taken out: private-use signs, removed from it before."""

from __future__ import annotations

import re

BREAK = "\ue000"
"""A new line."""
OPEN, CLOSE = "\ue001", "\ue002"
"""The beginning of a heading, followed by its level, and its end."""
SPACE = "\ue003"
"""A blank of preformatted text, which is kept."""
MARKS = re.compile("[\ue000-\ue003]")


def line(text: str) -> str:
    """Return a text on one line."""
    return " ".join(text.split())


def plain(text: str) -> str:
    """Return a marked line as text."""
    return MARKS.sub(lambda found: " " if found[0] == SPACE else "", line(text)).rstrip()
