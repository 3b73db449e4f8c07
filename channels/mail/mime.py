"""Parse the MIME structure of a mail within limits, and decode its parts, headers and charsets."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.parser import BytesFeedParser
from email.policy import Compat32
from email.utils import unquote
from typing import Any, TypeAlias

import webencodings

_NOT_IN_STANDARD = {
    "utf-7": "utf-7", "unicode-1-1-utf-7": "utf-7", "x-unicode-1-1-utf-7": "utf-7", "utf7": "utf-7",
    "iso-2022-kr": "iso2022_kr", "csiso2022kr": "iso2022_kr", "hz-gb-2312": "hz", "hz": "hz",
    "utf-32": "utf-32", "utf-32le": "utf-32-le", "utf-32be": "utf-32-be",
    "cp437": "cp437", "ibm437": "cp437", "cp850": "cp850", "ibm850": "cp850", "cp852": "cp852", "ibm852": "cp852",
    "cp858": "cp858", "cp862": "cp862", "cp932": "cp932", "ms932": "cp932", "cp936": "gb18030", "cp949": "cp949",
    "ms949": "cp949", "uhc": "cp949", "cp950": "big5hkscs", "gb18030-2000": "gb18030", "viscii": "cp1258",
    "iso-2022-jp-1": "iso2022_jp_ext", "iso-2022-jp-2": "iso2022_jp_ext", "iso-2022-jp-3": "iso2022_jp_2004",
    "iso-2022-jp-ms": "iso2022_jp_ext", "cp50220": "iso2022_jp_ext", "cp50221": "iso2022_jp_ext",
}  # fmt: skip
"""Charsets of mails that the standard omits or rejects, with their Python codecs."""
_CODECS = {"gbk": "gb18030", "euc-kr": "cp949", "iso-2022-jp": "iso2022_jp_ext", "shift_jis": "cp932"}
"""Encodings of the standard for which Python has a codec with more characters."""
_UNNAMED = {"", "us-ascii", "ascii", "unknown-8bit", "x-unknown", "unknown", "8bit", "default", "none", "binary"}
_RARE = ("utf-16", "utf-32", "mac", "cp437", "cp85")
"""Prefixes of encodings that are rare in mails without a declared charset."""
_ESCAPES = (b"\x1b$", b"\x1b(")
_USUAL = frozenset("äöüßÄÖÜéèêëàâîïôùûçñÑáíóúãõåÅæøØœŒÉÀÈÊÇÁÍÓÚ’‘“”„–—…€£§°«»¿¡ºª·®©\xa0•´²³½")
Mail: TypeAlias = "Message[str, str]"
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_FED_BYTES = 64 * 1024
_MAX_HEADER_CHARS = 8000
"""Maximum length of a header that is read, in characters."""


def decode(data: bytes, charset: str = "") -> str:
    """Return the decoded text; undecodable bytes become U+FFFD.

    Args:
        data: the bytes.
        charset: the declared charset; if it is empty or unknown, the encoding is detected from the bytes.
    """
    label = charset.strip(" \t\r\n\"'").lower()
    if label in _UNNAMED or (label in ("utf-8", "utf8") and not _is_utf8(data)):
        return _guessed(data)
    codec = _codec(label)
    if codec is None:
        return _guessed(data)
    if codec == "iso2022_jp_ext":
        return _japanese(data)
    try:
        return _without_mark(data.decode(codec, "replace"))
    except (UnicodeError, ValueError, LookupError):
        return _guessed(data)


def _codec(label: str) -> str | None:
    if label in _NOT_IN_STANDARD:
        return _NOT_IN_STANDARD[label]
    found = webencodings.lookup(label) or webencodings.lookup(label.replace("_", "-"))
    if found is None or found.name in ("replacement", "x-user-defined"):
        return None
    return _CODECS.get(found.name) or str(found.codec_info.name)


def _guessed(data: bytes) -> str:
    """Decode bytes whose charset is missing or wrong."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data.isascii():
        return _japanese(data) if any(escape in data for escape in _ESCAPES) else data.decode("ascii")
    if _is_utf8(data) or _is_mostly_utf8(data):
        return _without_mark(data.decode("utf-8", "replace"))
    from qwendesk.knowledge.readers.encoding_detection import detect_encoding

    found = detect_encoding(data)
    western = data.decode("cp1252", "replace")
    if found is None or (found.encoding.startswith(_RARE) and _reads_as_western(western)):
        return western
    return found.text


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_mostly_utf8(data: bytes) -> bool:
    """Return whether a text is UTF-8 with few invalid bytes, as in a truncated mail."""
    text = data.decode("utf-8", "replace")
    right = sum(1 for sign in text if sign > "\x7f" and sign != "\ufffd")
    return right >= 2 * max(1, text.count("\ufffd"))


def _reads_as_western(text: str) -> bool:
    """Return whether a text decoded as windows-1252 is in a Western European language."""
    high = [sign for sign in text if sign > "\x7f"]
    letters = sum(sign.isalpha() for sign in text)
    return all(sign in _USUAL for sign in high) and len(high) * 3 <= max(letters * 2, 3)


def _japanese(data: bytes) -> str:
    """Decode ISO-2022-JP, including the half-width kana and vendor characters that mail programs use."""
    try:
        return data.decode("iso2022_jp_ext")
    except UnicodeError:
        wider = data.replace(b"\x1b$B", b"\x1b$(Q").replace(b"\x1b$@", b"\x1b$(Q")
        return wider.decode("iso2022_jp_2004", "replace")


def _without_mark(text: str) -> str:
    return text.removeprefix("\ufeff")


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


def raw_header(mail: Mail, name: str) -> str:
    """Return a header as sent, unfolded; empty if missing."""
    return _FOLD.sub("", mail.get(name) or "").strip()


def header_text(mail: Mail, name: str) -> str:
    """Return a header's decoded text on one line."""
    return " ".join(decode_header_value(raw_header(mail, name)).split())


def decode_header_value(value: str) -> str:
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


def content_type_parameter(part: Mail, name: str) -> str:
    """Return a parameter of ``Content-Type``; empty if missing."""
    try:
        return _parameter(part.get_param(name, ""))
    except (ValueError, TypeError, LookupError):
        return ""


def _parameter(value: object) -> str:
    if isinstance(value, tuple):  # RFC 2231: charset, language, and the bytes as Latin-1
        charset, _, said = value
        return " ".join(decode(str(said).encode("latin-1", "replace"), str(charset or "utf-8")).split())
    return " ".join(decode_header_value(unquote(value)).split()) if isinstance(value, str) else ""


def _piece(piece: bytes | str, charset: str | None) -> str:
    if isinstance(piece, str):
        return piece
    if charset is None:  # text between encoded words
        return piece.decode("raw-unicode-escape", "replace")
    return decode(piece, charset.partition("*")[0])


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
