"""What a person points at: the message that is replied to, the words that are quoted or passed on.

It stands above the person's own words as a quote, each line behind ``>``, with its author, so that nobody takes it for
what the person says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

_COMMAND = re.compile(r"/\w+(?=\s|@|\Z)")
_LONGEST = 4000
"""Characters of all quotes of a message together, so that they do not make it too long to be taken."""
_LONGEST_OWN = 1000
"""Characters of a quote of the desk's own words, which it has said before."""
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Quote:
    """Words of a message that a person points at."""

    text: str
    author: str = ""
    kind: Literal["reply", "forward"] = "reply"
    own: bool = False
    """Whether the desk said it."""
    moment: float | None = None
    """When it was said, in seconds since 1970."""

    def written(self, most: int = _LONGEST) -> str:
        """Return it as a block of lines that each begin with ``>``.

        Args:
            most: characters of it that are shown.
        """
        most = min(most, _LONGEST_OWN) if self.own else most
        text = self.text.strip()
        text = text if len(text) <= most else f"{text[:most].rstrip()} …"
        return "\n".join(f"> {line}".rstrip() for line in (self._head(), *text.splitlines()))

    def _head(self) -> str:
        who = "you, the assistant" if self.own else " ".join(self.author.split())[:_LONGEST_NAME]
        if self.kind == "forward":
            return f"Forwarded message{f' from {who}' if who else ''}{self._when()}:"
        return f"{who or 'Somebody'} wrote{self._when()}:"

    def _when(self) -> str:
        try:
            moment = datetime.fromtimestamp(self.moment, UTC) if self.moment else None
        except (ValueError, OverflowError, OSError):
            moment = None
        return f" on {moment:%Y-%m-%d %H:%M} UTC" if moment else ""


def with_quotes(text: str, quotes: Iterable[Quote]) -> str:
    """Return a person's words below what they point at; a command to the desk stays a command."""
    pointed = [quote for quote in quotes if quote.text.strip()]
    blocks = [quote.written(_LONGEST // len(pointed)) for quote in pointed]
    return text if _COMMAND.match(text) else "\n\n".join([*blocks, text] if text else blocks)
