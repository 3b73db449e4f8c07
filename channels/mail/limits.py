"""Parse a mail's structure within limits on time and memory."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesFeedParser
from email.policy import Compat32
from typing import Any

from qwendesk.channels.mail.headers import Mail

_FED_BYTES = 64 * 1024
_MAX_HEADER_CHARS = 8000
"""Maximum length of a header that is read, in characters."""


@dataclass(frozen=True, slots=True)
class MailLimits:
    """Limits of reading a mail; content beyond a limit is ignored, the content before it is kept."""

    parts: int = 500
    """Maximum number of parts, including parts of forwarded mails."""
    depth: int = 30
    """Maximum nesting depth of parts."""
    lines: int = 1_000_000
    """Maximum number of lines."""
    text_bytes: int = 2**18
    """Maximum size of one text, in bytes."""
    files: int = 50
    """Maximum number of files."""
    seconds: float = 10.0
    """Maximum time for parsing the structure, in seconds."""


class _Exceeded(Exception):
    """The mail exceeds a limit."""


class _Part(Message):
    """A part with its nesting depth."""

    depth = 0
    deepest = 0

    def attach(self, payload: Any) -> None:
        """Add a child part.

        Raises:
            _Exceeded: the nesting is too deep.
        """
        if isinstance(payload, _Part):
            payload.depth = self.depth + 1
            if payload.depth > self.deepest:
                raise _Exceeded
        super().attach(payload)


class _Policy(Compat32):
    """Returns headers as sent, truncated to the maximum length."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        """Return a header's value, truncated."""
        return value[:_MAX_HEADER_CHARS]


def parse_structure(data: bytes, limits: MailLimits) -> tuple[Mail, bool]:
    """Return a mail's parsed structure, and whether the mail was within the limits.

    Args:
        data: the mail.
        limits: limits of reading.
    """
    made: list[_Part] = []

    def part(policy: Any = None) -> _Part:
        if len(made) > limits.parts:
            raise _Exceeded
        made.append(_Part(policy))
        made[-1].deepest = limits.depth
        return made[-1]

    parser = BytesFeedParser(policy=_Policy(message_factory=part))
    until = time.monotonic() + limits.seconds
    lines, is_whole = 0, True
    try:
        for start in range(0, len(data), _FED_BYTES):
            piece = data[start : start + _FED_BYTES]
            lines += piece.count(b"\n")
            if lines > limits.lines or time.monotonic() > until:
                is_whole = False
                break
            parser.feed(piece)
        parser.close()
    except _Exceeded:
        is_whole = False
    return made[0], is_whole
