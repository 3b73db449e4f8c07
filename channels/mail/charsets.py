"""Decode the bytes of a mail by its declared charset, with the labels of the WHATWG Encoding Standard."""

from __future__ import annotations

import codecs

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


_USUAL = frozenset("äöüßÄÖÜéèêëàâîïôùûçñÑáíóúãõåÅæøØœŒÉÀÈÊÇÁÍÓÚ’‘“”„–—…€£§°«»¿¡ºª·®©\xa0•´²³½")


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
