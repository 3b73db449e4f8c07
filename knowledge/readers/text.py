"""Read plain text and Markdown, and decode bytes to text.

A declared encoding is tried first, then a detected one. Every uncertainty and repair is noted; characters that no
database or model can store are removed.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from qwendesk.errors import InputError
from qwendesk.knowledge.base import DEFAULT_OPTIONS, Document, ReadOptions, Section
from qwendesk.knowledge.readers.encoding_detection import detect_encoding
from qwendesk.messages import storable_text

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ESCAPED = re.compile(rb"\x1b[$(][@-Z]|\x1b\$[()][@-Z]")
"""Escape sequences of ISO-2022, whose bytes are all ASCII."""
_ESCAPED_ENCODINGS = ("iso2022_jp_2004", "iso2022_jp_ext", "iso2022_kr")
_CONTROLS = re.compile(r"[\x01-\x08\x0b-\x1f\x7f\u200b\u2060\ufeff\ufffe\uffff]")
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_BINARY_SHARE = 0.01
_ALLOWED_CONTROLS = 2
_MIN_VALID_PER_BROKEN = 3
"""Least number of valid non-ASCII characters for each broken byte in text that is damaged UTF-8."""
_MAX_REPAIRED_LINE_CHARS = 200_000
"""Longer lines are not checked for characters that were encoded twice."""
_FRONT_MATTER = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)
_TITLE = re.compile(r"""^title:\s*["']?(.+?)["']?\s*$""", re.MULTILINE)
Heading = tuple[int, int, int, str]
"""First line, line after it, level, text."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    """A decoded text with remarks on its encoding."""

    text: str
    notes: tuple[str, ...] = ()


def decode(data: bytes) -> str:
    """Return the text of a file.

    Raises:
        InputError: the bytes are not text.
    """
    return decode_with_notes(data).text


def decode_with_notes(data: bytes, declared: Iterable[str] = ()) -> DecodedText:
    """Return the text of a file with remarks on its encoding.

    Args:
        data: the whole file.
        declared: encodings named by the file or its sender, the most trusted first.

    Raises:
        InputError: the bytes are not text.
    """
    found = _marked(data) or _escaped(data) or _named(data, declared) or _detected(data)
    if _is_binary(found.text):
        raise InputError("it is a binary file, not text")
    repaired, lines = _repaired(found.text)
    twice = (f"{_counted(lines, 'line')} with letters that were encoded twice repaired",) if lines else ()
    return DecodedText(normalize_text(repaired), (*found.notes, *twice))


def normalize_text(text: str) -> str:
    """Return the text in NFC, with uniform line ends and without control characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", storable_text(_CONTROLS.sub("", lines)))


def _marked(data: bytes) -> DecodedText | None:
    """Decode by the byte order mark."""
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if data.startswith(mark)), None)
    return _replaced(data, encoding) if encoding else None


def _escaped(data: bytes) -> DecodedText | None:
    if not (data.isascii() and _ESCAPED.search(data)):
        return None
    texts = (_strictly(data, encoding) for encoding in _ESCAPED_ENCODINGS)
    return next((DecodedText(text) for text in texts if text is not None), None)


def _named(data: bytes, declared: Iterable[str]) -> DecodedText | None:
    """Decode as UTF-8 if valid, else by a declared encoding."""
    text = _strictly(data, "utf-8") if b"\0" not in data else None
    if text is not None and not _is_binary(text):
        return DecodedText(text)
    refused = []
    for label in declared:
        encoding = _python_name(label)
        text = _strictly(data, encoding) if encoding and encoding != "utf-8" else None
        if text is not None:
            return DecodedText(text)
        refused.append(label)
    if not refused:
        return None
    found = _detected(data)
    return DecodedText(found.text, (f"it declares the encoding {refused[0]!r} and is not in it", *found.notes))


def _detected(data: bytes) -> DecodedText:
    if b"\0" not in data and not data.isascii() and _is_nearly_utf8(data):
        return _replaced(data, "utf-8")
    found = detect_encoding(data)
    if found is None and b"\0" in data:
        raise InputError("it is a binary file, not text")
    if found is None:
        raise InputError("its encoding is unknown; save it as UTF-8")
    if found.is_certain:
        return DecodedText(found.text, (f"no encoding declared: read as {found.encoding}",))
    other = f", perhaps {found.other}" if found.other else ""
    return DecodedText(
        found.text, (f"encoding uncertain: read as {found.encoding}{other}; save it as UTF-8 to be sure",)
    )


def _replaced(data: bytes, encoding: str) -> DecodedText:
    text = data.decode(encoding, errors="replace")
    count = text.count("\ufffd") - data.count("\ufffd".encode()) * encoding.startswith("utf-8")
    if count <= 0:
        return DecodedText(text)
    return DecodedText(
        text, (f"{_counted(count, 'sign')} that {encoding.removesuffix('-sig')} does not know replaced",)
    )


def _is_binary(text: str) -> bool:
    return len(_BINARY.findall(text)) > max(_ALLOWED_CONTROLS, _BINARY_SHARE * len(text))


def _is_nearly_utf8(data: bytes) -> bool:
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\ufffd")
    return sum(1 for sign in text if sign > "\x7f") - broken >= _MIN_VALID_PER_BROKEN * broken


def _strictly(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _python_name(label: str) -> str | None:
    """Return Python's name of an encoding label of the web, where ``iso-8859-1`` means ``cp1252``."""
    import webencodings

    found = webencodings.lookup(label.strip())
    if found is not None:
        return str(found.codec_info.name)
    try:
        return codecs.lookup(label.strip()).name
    except (LookupError, ValueError):
        return None


def _repaired(text: str) -> tuple[str, int]:
    """Repair lines whose characters were encoded twice (``GrÃ¶ÃŸe``); return the text and their number."""
    if text.isascii():
        return text, 0
    lines = text.split("\n")
    repaired = [line if line.isascii() or len(line) > _MAX_REPAIRED_LINE_CHARS else _fix()(line) for line in lines]
    return "\n".join(repaired), sum(a != b for a, b in zip(lines, repaired, strict=True))


@cache
def _fix() -> Callable[[str], str]:
    import ftfy

    return ftfy.fix_encoding


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def read_text(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Return plain text as one section with counted lines."""
    found = decode_with_notes(data, options.encodings)
    return Document("", (Section(found.text, unit="line"),), found.notes)


def read_markdown(data: bytes, options: ReadOptions = DEFAULT_OPTIONS) -> Document:
    """Split Markdown at its headings; ``#`` in a code block is not a heading."""
    found = decode_with_notes(data, options.encodings)
    text = found.text
    front = _FRONT_MATTER.match(text)
    named = _TITLE.search(front[1]) if front else None
    if front:
        # keep the number of lines, so that citations match the file
        text = "\n" * front[0].count("\n") + text[front.end() :]
    headings = _headings(text)
    title = named[1] if named else next((heading[3] for heading in headings if heading[2] == 1), "")
    return Document(title, tuple(_markdown_sections(text.split("\n"), headings, title)), found.notes)


def _headings(text: str) -> list[Heading]:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark").parse(text)
    found: list[Heading] = []
    for token, inline in zip(tokens, tokens[1:], strict=False):
        if token.type == "heading_open" and token.map and token.level == 0:
            words = "".join(child.content or " " for child in inline.children or ())
            found.append((token.map[0], token.map[1], int(token.tag[1:]), " ".join(words.split())))
    return found


def _markdown_sections(lines: list[str], headings: list[Heading], title: str) -> Iterator[Section]:
    path: dict[int, str] = {}
    begins, ends = [0, *(heading[1] for heading in headings)], [*(heading[0] for heading in headings), len(lines)]
    for heading, begin, end in zip([None, *headings], begins, ends, strict=True):
        if heading:
            path = {level: words for level, words in path.items() if level < heading[2]} | {heading[2]: heading[3]}
        body = "\n".join(lines[begin:end])
        above = tuple(words for level, words in sorted(path.items()) if (level, words) != (1, title))
        if body.strip():
            yield Section(body, above, unit="line", first=begin + 1)
