"""Turn an answer into the messages that a channel sends: in its markup, none too long."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qwendesk.channels.base import Capabilities
from qwendesk.channels.text.divide import divide
from qwendesk.channels.text.markup import render

_MEASURES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}


@dataclass(frozen=True, slots=True)
class Piece:
    """One message's text."""

    text: str
    """In the channel's markup."""
    plain: str
    """Without any."""


def shape(text: str, capabilities: Capabilities) -> list[Piece]:
    """Return the messages for a text in Markdown; none for one that shows nothing."""
    markup = capabilities.markup
    # Telegram counts what is left after its tags are read
    measured = "plain" if markup == "telegram" else markup
    measure = _MEASURES[capabilities.length_unit]
    text = text.strip().replace("\r\n", "\n").replace("\r", "\n")
    parts = divide(text, lambda part: measure(render(part, measured)) <= capabilities.max_length)
    pieces = (Piece(render(part, markup), render(part, "plain")) for part in parts)
    return [piece for piece in pieces if piece.text.strip()]
