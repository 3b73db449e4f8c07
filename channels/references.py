"""Messages that a person refers to: replied to, quoted or forwarded.

They are put above the person's own text as quotes, each line after ``>`` and with their author, so that they are not
taken for the person's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

_COMMAND = re.compile(r"/\w+(?=\s|@|\Z)")
_MAX_QUOTE_CHARS = 4000
"""Characters of all quotes of a message together."""
_MAX_OWN_CHARS = 1000
"""Characters of a quote of the desk's own message."""
_MAX_NAME_CHARS = 100


@dataclass(frozen=True, slots=True)
class Quote:
    """Text of a message that a person refers to."""

    text: str
    author: str = ""
    kind: Literal["reply", "forward"] = "reply"
    own: bool = False
    """Whether the desk wrote it."""
    moment: float | None = None
    """Time of the message in seconds since 1970."""

    def written(self, most: int = _MAX_QUOTE_CHARS) -> str:
        """Return the quote as lines that begin with ``>``.

        Args:
            most: characters of the text that are kept.
        """
        most = min(most, _MAX_OWN_CHARS) if self.own else most
        text = self.text.strip()
        text = text if len(text) <= most else f"{text[:most].rstrip()} …"
        return "\n".join(f"> {line}".rstrip() for line in (self._head(), *text.splitlines()))

    def _head(self) -> str:
        who = "you, the assistant" if self.own else " ".join(self.author.split())[:_MAX_NAME_CHARS]
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
    """Put quotes above a person's text; leave a chat command unchanged."""
    pointed = [quote for quote in quotes if quote.text.strip()]
    blocks = [quote.written(_MAX_QUOTE_CHARS // len(pointed)) for quote in pointed]
    return text if _COMMAND.match(text) else "\n\n".join([*blocks, text] if text else blocks)
