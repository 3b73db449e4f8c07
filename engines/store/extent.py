"""How long a GGUF file has to be, by what its own header says: a download that broke off is recognised by it."""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

from qwendesk.engines.store.look import MAGIC

_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a value, by the format's number of its type; texts (8) and lists (9) have a length of their own."""
_TEXT, _LIST = 8, 9
_BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)}
_BLOCKS |= {10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 30: (1, 2)}
"""How many numbers of a tensor lie in how many bytes, by the format's number of its type."""
_KNOWN = tuple(MAGIC + version.to_bytes(4, "little") for version in (2, 3))
"""How files of the format's known versions begin."""
_ALIGNMENT = b"general.alignment"


def cut_short(file: Path) -> str | None:
    """Say that a GGUF file is shorter than its header promises; None where it is not, or is none of the format's."""
    size = file.stat().st_size
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as held:
            needed = _Header(held).end if held[: len(_KNOWN[0])] in _KNOWN else 0
    except struct.error:
        return "is truncated: it ends within its header"
    except (ValueError, KeyError, OSError):
        return None
    if size >= needed:
        return None
    return f"is truncated: {size / 1e6:,.1f} of at least {needed / 1e6:,.1f} MB are there"


class _Header:
    """Reads through a header; ``end`` is where the last tensor ends, or begins where its type is unknown."""

    def __init__(self, held: mmap.mmap) -> None:
        self._held, self._at = held, len(MAGIC) + 4
        self._alignment = 32
        tensors, values = self._numbers("<QQ")
        for _ in range(values):
            self._value()
        ends = [self._tensor() for _ in range(tensors)]
        begin = -(-self._at // self._alignment) * self._alignment
        self.end = begin + max(ends, default=0)

    def _numbers(self, form: str) -> tuple[int, ...]:
        found = struct.unpack_from(form, self._held, self._at)
        self._at += struct.calcsize(form)
        return found

    def _text(self) -> bytes:
        (length,) = self._numbers("<Q")
        self._at += length
        return self._held[self._at - length : self._at]

    def _value(self) -> None:
        name = self._text()
        (kind,) = self._numbers("<I")
        if name == _ALIGNMENT:
            (self._alignment,) = self._numbers("<I")
        elif kind == _LIST:
            self._list()
        elif kind == _TEXT:
            self._text()
        else:
            self._at += _SIZES[kind]

    def _list(self) -> None:
        kind, count = self._numbers("<IQ")
        if kind != _TEXT:
            self._at += _SIZES[kind] * count
            return
        # vocabularies have hundreds of thousands of these
        read, held, at = struct.Struct("<Q").unpack_from, self._held, self._at
        for _ in range(count):
            at += 8 + read(held, at)[0]
        self._at = at

    def _tensor(self) -> int:
        self._text()
        (dimensions,) = self._numbers("<I")
        numbers = 1
        for length in self._numbers(f"<{dimensions}Q"):
            numbers *= length
        kind, offset = self._numbers("<IQ")
        block, size = _BLOCKS.get(kind, (1, 0))
        return offset + -(-numbers // block) * size
