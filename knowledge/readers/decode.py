"""Bytes as text: the declared encoding first, then a detected one; every doubt is noted, nothing is changed silently.

What no database and no model can hold is left out.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from qwendesk.errors import InputError
from qwendesk.knowledge.readers.encoding_detection import guess
from qwendesk.messages import storable

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ESCAPED = re.compile(rb"\x1b[$(][@-Z]|\x1b\$[()][@-Z]")
"""How text in ISO-2022 changes its set of signs; all its bytes are ASCII."""
_ESCAPED_ENCODINGS = ("iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr")
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff\ufffe\uffff]")
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_BINARY_SHARE = 0.01
_FEW_CONTROLS = 2
_INTACT = 3
"""Letters of valid UTF-8 for each broken byte from which on text counts as damaged UTF-8."""
_TWICE = 200_000
"""Letters of a line that is looked through for letters that were encoded twice."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, and what a reader of it should know of how it was decoded."""

    text: str
    notes: tuple[str, ...] = ()


def decode(data: bytes) -> str:
    """Return the text.

    Raises:
        InputError: these bytes are no text.
    """
    return decoded(data).text


def decoded(data: bytes, declared: Iterable[str] = ()) -> Decoded:
    """Return the text with notes on its encoding.

    Args:
        data: the whole file.
        declared: the names of encodings that the file or its sender gives, the most trusted first.

    Raises:
        InputError: these bytes are no text.
    """
    found = _marked(data) or _escaped(data) or _named(data, declared) or _detected(data)
    if _is_binary(found.text):
        raise InputError("it is a binary file, not text")
    repaired, lines = _repaired(found.text)
    twice = (f"{_counted(lines, 'line')} with letters that were encoded twice repaired",) if lines else ()
    return Decoded(clean(repaired), (*found.notes, *twice))


def clean(text: str) -> str:
    """Return the text with line ends alike and without control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", storable(_CONTROLS.sub("", lines)))


def _marked(data: bytes) -> Decoded | None:
    """Decode by the mark at the beginning (BOM)."""
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    return _replaced(data, encoding) if encoding else None


def _escaped(data: bytes) -> Decoded | None:
    if not (data.isascii() and _ESCAPED.search(data)):
        return None
    texts = (_strictly(data, encoding) for encoding in _ESCAPED_ENCODINGS)
    return next((Decoded(text) for text in texts if text is not None), None)


def _named(data: bytes, declared: Iterable[str]) -> Decoded | None:
    """Decode as UTF-8 where it is that, else by a declared encoding."""
    text = _strictly(data, "utf-8") if b"\0" not in data else None
    if text is not None and not _is_binary(text):
        return Decoded(text)
    refused = []
    for label in declared:
        encoding = _python_name(label)
        text = _strictly(data, encoding) if encoding and encoding != "utf-8" else None
        if text is not None:
            return Decoded(text)
        refused.append(label)
    if not refused:
        return None
    found = _detected(data)
    return Decoded(found.text, (f"it declares the encoding {refused[0]!r} and is not in it", *found.notes))


def _detected(data: bytes) -> Decoded:
    if b"\0" not in data and not data.isascii() and _is_nearly_utf8(data):
        return _replaced(data, "utf-8")
    found = guess(data)
    if found is None and b"\0" in data:
        raise InputError("it is a binary file, not text")
    if found is None:
        raise InputError("its encoding is unknown; save it as UTF-8")
    if found.is_certain:
        return Decoded(found.text, (f"no encoding declared: read as {found.encoding}",))
    other = f", perhaps {found.other}" if found.other else ""
    return Decoded(found.text, (f"encoding uncertain: read as {found.encoding}{other}; save it as UTF-8 to be sure",))


def _replaced(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, errors="replace")
    count = text.count("\ufffd") - data.count("\ufffd".encode()) * encoding.startswith("utf-8")
    if count <= 0:
        return Decoded(text)
    return Decoded(text, (f"{_counted(count, 'sign')} that {encoding.removesuffix('-sig')} does not know replaced",))


def _is_binary(text: str) -> bool:
    return len(_BINARY.findall(text)) > max(_FEW_CONTROLS, _BINARY_SHARE * len(text))


def _is_nearly_utf8(data: bytes) -> bool:
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    return sum(1 for sign in text if sign > "\x7f") - broken >= _INTACT * broken


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _python_name(label: str) -> str | None:
    """Return Python's name for an encoding as the web calls it: ``iso-8859-1`` means ``cp1252`` there."""
    import webencodings

    found = webencodings.lookup(label.strip())
    if found is not None:
        return str(found.codec_info.name)
    try:
        return codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None


def _repaired(text: str) -> tuple[str, int]:
    """Return the text with lines repaired whose letters were encoded twice (``GrÃ¶ÃŸe``), and how many they are."""
    if text.isascii():
        return text, 0
    lines = text.split("\n")
    repaired = [line if line.isascii() or len(line) > _TWICE else _fix()(line) for line in lines]
    return "\n".join(repaired), sum(a != b for a, b in zip(lines, repaired, strict=True))


@cache
def _fix() -> Callable[[str], str]:
    import ftfy

    return ftfy.fix_encoding


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"
