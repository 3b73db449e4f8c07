"""An operator's name before a message, for platforms that show no author of a message."""

from __future__ import annotations

import unicodedata

from qwendesk.channels.markup.render import markdown_parser
from qwendesk.printable import literal_markdown, one_line

_ISOLATED, _END = "\u2068", "\u2069"
_DIRECTIONS = {"L": "ltr", "R": "rtl", "AL": "rtl"}


def with_name(name: str, text: str) -> str:
    """Return a Markdown text as ``Name: text``; a text that begins with a block such as a list stays below the name.

    A name of another direction than the text is isolated, so that it does not turn the line around.
    """
    name = " ".join(one_line(name).split())
    if not name:
        return text
    shown = literal_markdown(name)
    directions = {_direction(name), _direction(text)}
    if len(directions) > 1 and "rtl" in directions:
        shown = f"{_ISOLATED}{shown}{_END}"
    return f"{shown}: {text.lstrip()}" if _begins_with_paragraph(text) else f"{shown}:\n\n{text}"


def _begins_with_paragraph(text: str) -> bool:
    tokens = markdown_parser().parse(text)
    return not tokens or tokens[0].type == "paragraph_open"


def _direction(text: str) -> str:
    """Return the direction of the first letter."""
    return next((found for sign in text if (found := _DIRECTIONS.get(unicodedata.bidirectional(sign)))), "")
