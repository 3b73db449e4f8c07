"""Parse Telegram's HTML with the errors of the Bot API."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

TAGS = {"b", "i", "u", "s", "code", "pre", "a", "blockquote"}


class Refused(Exception):
    """An error response of the Bot API."""

    def __init__(self, code: int, text: str, **parameters: Any) -> None:
        super().__init__(text)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": text} | (
            {"parameters": parameters} if parameters else {}
        )


class HtmlParser(HTMLParser):
    """Parser of Telegram's HTML."""

    def text(self, markup: str) -> str:
        """Return the text without tags.

        Raises:
            Refused: The Bot API would refuse the markup.
        """
        self._read: list[str] = []
        self._tags: list[str] = []
        self.feed(markup)
        self.close()
        if self._tags:
            raise Refused(
                400, f"Bad Request: can't parse entities: Can't find end tag corresponding to {self._tags[-1]}"
            )
        return "".join(self._read)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a supported tag."""
        if tag not in TAGS:
            raise Refused(400, f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}"')
        self._tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the last open tag."""
        if not self._tags or self._tags.pop() != tag:
            raise Refused(400, "Bad Request: can't parse entities: Unmatched end tag")

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self._read.append(data)
