"""Convert an answer to the messages that a channel sends: in its markup, within its maximum length."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from qwendesk.channels.base import ChannelCapabilities, Markup
from qwendesk.channels.markup.render import render, written
from qwendesk.channels.markup.split import split_markdown
from qwendesk.channels.markup.text_split import split_plain

_MEASURES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


_TAG = re.compile(r"<(?!hr)[^<>]*>")
"""A tag without visible output."""
_LEADING = re.compile(r"\A(?:[^\S\n]*\n)+")
"""Leading blank lines; the indentation of the first line is kept, since it can mark code."""
_GROWTH = 16
"""Maximum growth factor of a part without a table, by entities and tags."""


@dataclass(frozen=True, slots=True)
class MessagePart:
    """Text of one message."""

    text: str
    """The text in the channel's markup."""
    plain: str
    """The text without markup."""


def shape(text: str, capabilities: ChannelCapabilities) -> list[MessagePart]:
    """Return the messages for a Markdown text; none if it has no visible character."""
    markup = capabilities.markup
    text = _LEADING.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).rstrip()
    parts = split_markdown(text, _fits(capabilities))
    pieces = [_piece(part, markup) for part in parts if is_visible(part)]
    if shown := [piece for piece in pieces if is_seen(piece.text, markup)]:
        return shown
    # the text consists of markup characters only: send them as plain text
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length
    raw = split_plain(text, lambda part: measure(written(part, markup)) <= longest)
    return [MessagePart(written(part, markup), part) for part in raw if is_visible(part)]


def is_visible(text: str) -> bool:
    """Return whether a text has a visible character."""
    return any(not (sign.isspace() or unicodedata.category(sign) in ("Cf", "Cc")) for sign in text)


def is_seen(written: str, markup: Markup) -> bool:
    """Return whether a rendered text has a visible character."""
    return is_visible(_TAG.sub("", written) if markup in ("html", "telegram") else written)


def _piece(part: str, markup: Markup) -> MessagePart:
    return MessagePart(render(part, markup), render(part, "plain"))


def _fits(capabilities: ChannelCapabilities) -> Callable[[str], bool]:
    # Telegram counts the length after parsing entities
    measured = "plain" if capabilities.markup == "telegram" else capabilities.markup
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length

    def fits(part: str) -> bool:
        if "|" not in part and measure(part) * _GROWTH <= longest:
            return True  # avoids rendering
        return measure(render(part, measured)) <= longest

    return fits
