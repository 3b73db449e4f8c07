"""Bytes as text, whatever their encoding, without what no database and no model can hold."""

from __future__ import annotations

import codecs
import re
import unicodedata

from qwendesk.errors import InputError
from qwendesk.messages import storable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 64 * 1024
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff\ufffe\uffff]")


def decode(data: bytes) -> str:
    """Return the text.

    Raises:
        InputError: these bytes are no text.
    """
    named = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    if named is None and b"\0" in data[:_LOOKED_AT]:
        raise InputError("it is a binary file, not text")
    try:
        return clean(data.decode(named or "utf-8"))
    except UnicodeDecodeError:
        return clean(_guessed(data))


def clean(text: str) -> str:
    """Return the text with line ends alike and without control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", storable(_CONTROLS.sub("", lines)))


def _guessed(data: bytes) -> str:
    from charset_normalizer import from_bytes

    found = from_bytes(data[:_LOOKED_AT]).best()
    if found is None:
        raise InputError("its encoding is unknown; save it as UTF-8")
    return data.decode(found.encoding, errors="replace")
