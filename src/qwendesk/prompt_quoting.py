"""Quote data in prompts so that a model does not read it as part of the prompt.

A template writes every value on one line. A text of several lines is given to it as a ``Block``, each line of which
begins with a sign that the text cannot leave out.
"""

from __future__ import annotations

import json
import re

_QUOTE = "> "
_QUOTED_LINE = re.compile(r"^>.*$", re.MULTILINE)
_INDENT = "    "


class Block(str):
    """A text of several lines that templates insert unchanged."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Return a text with every run of white space replaced by one space."""
    return " ".join(text.split())


def quoted(text: str) -> Block:
    """Return a text with a quote mark before each line."""
    return Block("\n".join(f"{_QUOTE}{line}".rstrip() for line in text.splitlines()))


def without_quoted_lines(text: str) -> str:
    """Return a message without quoted lines; the whole message if all lines are quoted."""
    own = _QUOTED_LINE.sub("", text) if ">" in text else text
    return own if own.strip() else text


def indented(text: str) -> Block:
    """Return a text with all lines but the first indented, for use after a label."""
    return Block(f"\n{_INDENT}".join(text.splitlines()))


def quoted_name(text: str) -> str:
    """Return a name in double quotes, with double quotes in it replaced."""
    return json.dumps(one_line(text), ensure_ascii=False)


def template_value(value: object) -> object:
    """Return a value as templates write it: one line, or unchanged if it is a ``Block``."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Block) else value
