"""Read a mail's structure within limits, so that none can take much time or memory."""

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
"""Characters of a header that are read."""


@dataclass(frozen=True, slots=True)
class MailLimits:
    """How much of a mail is read; what is beyond is left out, and what stands before it is still read."""

    parts: int = 500
    """Parts of a mail, and of the mails that it forwards."""
    depth: int = 30
    """How deep parts stand in one another."""
    lines: int = 1_000_000
    """Lines of a mail."""
    text_bytes: int = 2**18
    """Bytes of one text, many times what the desk takes of a message."""
    files: int = 50
    """Files of a mail."""
    seconds: float = 10.0
    """Time that reading the structure of a mail takes."""


class _Exceeded(Exception):
    """A mail has more than is read of one."""


class _Part(Message):
    """A part that knows how deep it stands."""

    depth = 0
    deepest = 0

    def attach(self, payload: Any) -> None:
        """Add a part, which stands one deeper.

        Raises:
            _Exceeded: it stands too deep.
        """
        if isinstance(payload, _Part):
            payload.depth = self.depth + 1
            if payload.depth > self.deepest:
                raise _Exceeded
        super().attach(payload)


class _Policy(Compat32):
    """Returns headers as they were sent, but no more of one than can make sense."""

    def header_fetch_parse(self, name: str, value: str) -> str:
        """Return the beginning of a header's value."""
        return value[:_MAX_HEADER_CHARS]


def parse_structure(data: bytes, limits: MailLimits) -> tuple[Mail, bool]:
    """Return a mail's parts, and whether all of them were read.

    Args:
        data: the mail.
        limits: how much of it is read.
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
