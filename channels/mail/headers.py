"""Decode mail headers: encoded words (RFC 2047), raw bytes, and parameters (RFC 2231)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import unquote
from typing import TypeAlias

from qwendesk.channels.mail.charsets import decode

Mail: TypeAlias = "Message[str, str]"
_FOLD = re.compile(r"\r?\n(?=[ \t])")


def walk_own_parts(mail: Mail) -> Iterator[Mail]:
    """Yield a mail and its parts, excluding the parts of forwarded mails."""
    left = [mail]
    while left:
        part = left.pop()
        yield part
        if part.get_content_maintype() != "message":
            left += reversed(children(part))


def children(part: Mail) -> list[Mail]:
    """Return the child parts of a part; none if its payload is text."""
    inner = part.get_payload() if part.is_multipart() else ()
    return [one for one in inner if isinstance(one, Message)]


def payload_of(part: Mail) -> bytes:
    """Return the decoded payload of a leaf part; empty if it cannot be decoded."""
    try:
        data = part.get_payload(decode=True)
    except (ValueError, LookupError, TypeError, UnboundLocalError):  # the part ended before its first line
        return b""
    return data if isinstance(data, bytes) else b""


def raw(mail: Mail, name: str) -> str:
    """Return a header as sent, unfolded; empty if missing."""
    return _FOLD.sub("", mail.get(name) or "").strip()


def text(mail: Mail, name: str) -> str:
    """Return a header's decoded text on one line."""
    return " ".join(decoded(raw(mail, name)).split())


def decoded(value: str) -> str:
    """Return a header's value with its encoded words and raw bytes decoded."""
    if not value.isascii():
        value = decode(value.encode("utf-8", "surrogateescape"))
    if "=?" not in value:
        return value
    try:
        pieces = decode_header(value)
    except (HeaderParseError, ValueError):
        return value
    return "".join(_piece(piece, charset) for piece, charset in pieces)


def file_name(part: Mail) -> str:
    """Return a part's file name; empty if it has none."""
    for parameter, header in (("filename", "Content-Disposition"), ("name", "Content-Type")):
        try:
            value = part.get_param(parameter, "", header)
        except (ValueError, TypeError, LookupError):
            continue
        if named := _parameter(value):
            return named
    return ""


def parameter(part: Mail, name: str) -> str:
    """Return a parameter of ``Content-Type``; empty if missing."""
    try:
        return _parameter(part.get_param(name, ""))
    except (ValueError, TypeError, LookupError):
        return ""


def _parameter(value: object) -> str:
    if isinstance(value, tuple):  # RFC 2231: charset, language, and the bytes as Latin-1
        charset, _, said = value
        return " ".join(decode(str(said).encode("latin-1", "replace"), str(charset or "utf-8")).split())
    return " ".join(decoded(unquote(value)).split()) if isinstance(value, str) else ""


def _piece(piece: bytes | str, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    if charset is None:  # text between encoded words
        return piece.decode("raw-unicode-escape", "replace")
    return decode(piece, charset.partition("*")[0])
