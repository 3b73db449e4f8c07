"""Write data into prompts so that it cannot be read as a part of the prompt itself.

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
    """A text of several lines that a template writes as it is."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Return the text with every run of white space and line breaks as one space."""
    return " ".join(text.split())


def quoted(text: str) -> Block:
    """Return the text with a sign of quotation before each line."""
    return Block("\n".join(f"{_QUOTE}{line}".rstrip() for line in text.splitlines()))


def own_words(text: str) -> str:
    """Return a message without the lines that quote somebody; all of it where nothing else is in it."""
    own = _QUOTED_LINE.sub("", text) if ">" in text else text
    return own if own.strip() else text


def indented(text: str) -> Block:
    """Return the text with every line but the first indented, to be written behind a label."""
    return Block(f"\n{_INDENT}".join(text.splitlines()))


def name(text: str) -> str:
    """Return a name in double quotes that it cannot close."""
    return json.dumps(one_line(text), ensure_ascii=False)


def written(value: object) -> object:
    """Return what a template writes for a value: one line, save for a block."""
    return one_line(value) if isinstance(value, str) and not isinstance(value, Block) else value
