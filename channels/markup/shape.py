"""Turn an answer into the messages that a channel sends: in its markup, none too long."""

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
"""A tag that shows nothing by itself."""
_LEADING = re.compile(r"\A(?:[^\S\n]*\n)+")
"""Blank lines; the blanks before the first word may make it code."""
_GROWTH = 16
"""How many times as long a part can become that holds no table: a sign may turn into an entity, a mark into tags."""


@dataclass(frozen=True, slots=True)
class MessagePart:
    """One message's text."""

    text: str
    """In the channel's markup."""
    plain: str
    """Without any."""


def shape(text: str, capabilities: ChannelCapabilities) -> list[MessagePart]:
    """Return the messages for a text in Markdown; none for one without a single visible character."""
    markup = capabilities.markup
    text = _LEADING.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).rstrip()
    parts = split_markdown(text, _fits(capabilities))
    pieces = [_piece(part, markup) for part in parts if is_visible(part)]
    if shown := [piece for piece in pieces if is_seen(piece.text, markup)]:
        return shown
    # all of it is marks without words: then the marks are what was said
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length
    raw = split_plain(text, lambda part: measure(written(part, markup)) <= longest)
    return [MessagePart(written(part, markup), part) for part in raw if is_visible(part)]


def is_visible(text: str) -> bool:
    """Tell whether something of a text can be seen."""
    return any(not (sign.isspace() or unicodedata.category(sign) in ("Cf", "Cc")) for sign in text)


def is_seen(written: str, markup: Markup) -> bool:
    """Tell whether something can be seen of what is written in a markup."""
    return is_visible(_TAG.sub("", written) if markup in ("html", "telegram") else written)


def _piece(part: str, markup: Markup) -> MessagePart:
    return MessagePart(render(part, markup), render(part, "plain"))


def _fits(capabilities: ChannelCapabilities) -> Callable[[str], bool]:
    # Telegram counts what is left after its tags are read
    measured = "plain" if capabilities.markup == "telegram" else capabilities.markup
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length

    def fits(part: str) -> bool:
        if "|" not in part and measure(part) * _GROWTH <= longest:
            return True  # to write it out would only cost time
        return measure(render(part, measured)) <= longest

    return fits
