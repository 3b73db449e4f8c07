"""Telegram's HTML as the simulated Bot API reads it, and how that refuses what it cannot take."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

TAGS = {"b", "i", "u", "s", "code", "pre", "a", "blockquote"}


class Refused(Exception):
    """The API answers with an error."""

    def __init__(self, code: int, text: str, **parameters: Any) -> None:
        super().__init__(text)
        self.code = code
        self.body = {"ok": False, "error_code": code, "description": text} | (
            {"parameters": parameters} if parameters else {}
        )


class Entities(HTMLParser):
    """Reads Telegram's HTML; what the API would refuse is refused."""

    def text(self, written: str) -> str:
        """Return what is read, without its tags."""
        self._read: list[str] = []
        self._tags: list[str] = []
        self.feed(written)
        self.close()
        if self._tags:
            raise Refused(
                400, f"Bad Request: can't parse entities: Can't find end tag corresponding to {self._tags[-1]}"
            )
        return "".join(self._read)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open a tag that the API knows."""
        if tag not in TAGS:
            raise Refused(400, f'Bad Request: can\'t parse entities: Unsupported start tag "{tag}"')
        self._tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the tag that was opened last."""
        if not self._tags or self._tags.pop() != tag:
            raise Refused(400, "Bad Request: can't parse entities: Unmatched end tag")

    def handle_data(self, data: str) -> None:
        """Keep a piece of text."""
        self._read.append(data)
