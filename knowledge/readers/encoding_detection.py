"""Detect the encoding of text that does not declare one.

chardet ranks encodings that occur in documents; a candidate loses rank if its decoding mixes scripts within a word or
puts symbols between letters. docs/explanation/benchmarks.md holds the measured table.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import regex

_ENCODINGS = (
    *(
        "utf-8",
        "utf-16-le",
        "utf-16-be",
        "cp1250",
        "cp1251",
        "cp1252",
        "cp1253",
        "cp1254",
        "cp1255",
        "cp1256",
        "cp1257",
    ),
    *("cp1258", "koi8-r", "koi8-u", "cp866", "cp850", "cp852", "cp437", "mac-roman", "iso-8859-1", "iso-8859-2"),
    *("iso-8859-5", "iso-8859-6", "iso-8859-7", "iso-8859-8", "iso-8859-9", "iso-8859-15", "cp874", "tis-620"),
    *("cp932", "shift_jis", "euc-jp", "cp949", "euc-kr", "gb18030", "gb2312", "big5"),
)
_WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
"""Encodings of text with zero bytes."""
_SUPERSETS = {
    **{"iso8859-1": "cp1252", "iso8859-9": "cp1254", "iso8859-8": "cp1255", "tis-620": "cp874", "shift_jis": "cp932"},
    **{"euc_kr": "cp949", "gb2312": "gb18030", "koi8-r": "koi8-u", "big5": "cp950"},
}
"""Windows encodings that contain an older encoding; documents use the larger one under the older name."""
_SAMPLE_BYTES = 200_000
"""Bytes that are examined; from a longer text, the lines that are not ASCII."""
_CONTROLS = bytes(set(range(0x20)) - set(b"\t\n\r\f\x1b")) + b"\x7f"
_CHECKED_CANDIDATES = 6
"""Candidates whose decoding is checked for faults."""
_CHECKED_CHARS = 20_000
_FOREIGN = "".join(rf"\p{{{name}}}" for name in ("Cyrillic", "Greek", "Hebrew", "Arabic", "Thai"))
_ASCII_LETTER = re.compile("[A-Za-z]")
_LATIN_RATIO = 4
_RANK_PER_FAULT = 0.1
_MAX_FAULTS = 3
_MIN_RANK = 0.15
"""Below this rank no encoding fits well."""
_MIN_NON_ASCII_BYTES = 2
"""With fewer bytes outside ASCII, the result is always uncertain."""
_MIN_LEAD = 0.02
"""Least difference in rank to the next candidate for a certain result."""


@dataclass(frozen=True, slots=True)
class DetectedEncoding:
    """A detected encoding."""

    encoding: str
    text: str
    is_certain: bool = True
    other: str = ""
    """Another encoding that fits and gives a different text; empty: none."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    encoding: str
    rank: float
    sample: str


def detect_encoding(data: bytes) -> DetectedEncoding | None:
    """Return the best encoding with the decoded text; None: no encoding fits."""
    if found := _unspaced_wide(data):
        return found
    is_short = sum(byte > 0x7F for byte in data[:_SAMPLE_BYTES]) < _MIN_NON_ASCII_BYTES
    ranked = sorted(_candidates(data), key=lambda candidate: -candidate.rank)
    for place, candidate in enumerate(ranked):
        try:
            text = data.decode(candidate.encoding)
        except UnicodeDecodeError:
            continue
        rival = next((other for other in ranked[place + 1 :] if other.sample != candidate.sample), None)
        lead = candidate.rank - rival.rank if rival else candidate.rank
        is_certain = not is_short and lead >= (_MIN_LEAD if rival else _MIN_RANK)
        return DetectedEncoding(candidate.encoding, text, is_certain, rival.encoding if rival else "")
    return None


def _unspaced_wide(data: bytes) -> DetectedEncoding | None:
    """Detect UTF-16 of scripts without spaces, which has no zero bytes, by their punctuation and letters."""
    if len(data) % 2:
        return None
    texts = ((encoding, _decoded(data, encoding)) for encoding in _WIDE[:2])
    return next(
        (DetectedEncoding(encoding, text) for encoding, text in texts if text and _unspaced().fullmatch(text)), None
    )


def _candidates(data: bytes) -> Iterator[_Candidate]:
    import chardet

    sample = _sample(data)
    known = _WIDE if b"\0" in sample else _ENCODINGS
    found = chardet.detect_all(sample, ignore_threshold=True, compat_names=False, include_encodings=known)
    seen: set[str] = set()
    for one in found:
        encoding = _SUPERSETS.get(one["encoding"] or "", one["encoding"])
        text = _decoded(sample, encoding) if encoding and encoding not in seen else None
        if encoding is None or text is None:
            continue
        seen.add(encoding)
        faults = _faults(text[:_CHECKED_CHARS]) if len(seen) <= _CHECKED_CANDIDATES else _MAX_FAULTS
        yield _Candidate(encoding, one["confidence"] - _RANK_PER_FAULT * faults, text)


def _sample(data: bytes) -> bytes:
    """Return the lines that distinguish encodings; ASCII lines do not."""
    if b"\0" in data:
        return data[:_SAMPLE_BYTES]
    lines, size = [], 0
    for line in data.splitlines(keepends=True):
        if not line.isascii():
            lines.append(line)
            size += len(line)
        if size > _SAMPLE_BYTES:
            break
    # control characters would make the sample look binary
    return b"".join(lines)[:_SAMPLE_BYTES].translate(None, _CONTROLS)


def _decoded(sample: bytes, encoding: str) -> str | None:
    """Decode the sample, whose last character may be truncated."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(sample)
    except (UnicodeDecodeError, LookupError):
        return None


def _faults(text: str) -> int:
    faults = sum(1 for _ in zip(range(_MAX_FAULTS), _fault().finditer(text), strict=False))
    # a single letter of another script in Latin text is a misread letter such as "è"
    lonely = len(_lonely().findall(text))
    if lonely and len(_ASCII_LETTER.findall(text)) > _LATIN_RATIO * lonely and not _foreign_word().search(text):
        faults += lonely
    return min(_MAX_FAULTS, faults)


@cache
def _fault() -> regex.Pattern[str]:
    """Match sequences foreign to text: adjacent scripts, symbols or capitals within words, control characters."""
    mixed = rf"\p{{Latin}}(?=[{_FOREIGN}])|[{_FOREIGN}](?=\p{{Latin}})"
    between = r"(?<=\p{L})[\p{S}\p{No}\p{C}--\p{Cf}](?=\p{L})|(?<=\p{Ll})\p{Lu}(?=\p{Ll})"
    return regex.compile(rf"{mixed}|{between}|[\p{{Cc}}--[\t\n\r\f]]", regex.V1)


@cache
def _unspaced() -> regex.Pattern[str]:
    """Match text of CJK and ASCII with kana or CJK punctuation, or text of Thai and ASCII."""
    plain = r"\t\r\n -~"
    cjk = rf"{plain}\u2010-\u2030\u3000-\u30ff\u4e00-\u9fff\uff00-\uffef"
    return regex.compile(
        rf"[{cjk}]*?[\u3001-\u30ff\uff01-\uff1f][{cjk}]*|[{plain}]*[\u0e01-\u0e5b][{plain}\u0e01-\u0e5b]*"
    )


@cache
def _lonely() -> regex.Pattern[str]:
    return regex.compile(rf"(?<!\p{{L}})[{_FOREIGN}](?!\p{{L}})")


@cache
def _foreign_word() -> regex.Pattern[str]:
    return regex.compile(rf"[{_FOREIGN}]{{2}}")
