"""Escape untrusted text for terminals, logs, lists and Markdown."""

from __future__ import annotations

import re
from unicodedata import category

_JOINERS = "\u200c\u200d"
"""Invisible characters that names need: in Persian, in Indic scripts, in emoji."""
REPLACEMENT = "\ufffd"
_MARKDOWN = re.compile(r"[*`~\[\]<>&\\$|#]|(?<!\w)_|_(?!\w)|^[^\S\n]*[-+=]|^[^\S\n]*\d{1,9}[.)]", re.MULTILINE)
"""What could be Markdown in a text."""


def one_line(text: str, instead: str = REPLACEMENT) -> str:
    """Return the name of a person, a chat or a file on one line.

    Control characters, line breaks, signs that turn the writing direction and all others without a shape are replaced.

    Args:
        text: the name, as it came.
        instead: what stands for each such sign.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(sign, instead) for sign in text)


def many_lines(text: str) -> str:
    """Return a text of several lines, escaped like ``one_line``; line breaks and tabs are kept."""
    return "\n".join("\t".join(map(one_line, line.split("\t"))) for line in text.split("\n"))


def _shown(sign: str, instead: str) -> str:
    if sign.isprintable() or sign in _JOINERS:
        return sign
    return " " if category(sign) == "Zs" else instead


def literal_markdown(text: str) -> str:
    """Return a text as Markdown that shows it as it is."""
    return _MARKDOWN.sub(lambda found: "".join(f"&#{ord(sign)};" for sign in found[0]), text)
