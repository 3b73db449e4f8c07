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


_GROWTH = 16
"""How many times as long a part can become that holds no table: a sign may turn into an entity, a mark into tags."""


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
    text = text.strip().replace("\r\n", "\n").replace("\r", "\n")
    parts = divide(text, _fits(capabilities))
    pieces = (Piece(render(part, markup), render(part, "plain")) for part in parts)
    return [piece for piece in pieces if piece.text.strip()]


def _fits(capabilities: Capabilities) -> Callable[[str], bool]:
    # Telegram counts what is left after its tags are read
    measured = "plain" if capabilities.markup == "telegram" else capabilities.markup
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length

    def fits(part: str) -> bool:
        if "|" not in part and measure(part) * _GROWTH <= longest:
            return True  # to write it out would only cost time
        return measure(render(part, measured)) <= longest

    return fits
