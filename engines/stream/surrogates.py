"""Join characters whose two UTF-16 halves come in different pieces of an answer."""

from __future__ import annotations

import re

_HALF = re.compile("[\ud800-\udfff]")
_FIRST_HALF = re.compile("[\ud800-\udbff]\\Z")


class SurrogateJoiner:
    """Holds back the first half of a character until its second comes; a half without the other is U+FFFD."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Take the next piece; return the text in whole characters."""
        if not text:
            return ""
        text, self._held = self._held + text, ""
        if _FIRST_HALF.search(text):
            text, self._held = text[:-1], text[-1]
        return joined(text)

    def finish(self) -> str:
        """Return what is left in the place of a half whose other half never came."""
        held, self._held = self._held, ""
        return joined(held)


def joined(text: str) -> str:
    """Return a text with each pair of halves as one character."""
    if not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
