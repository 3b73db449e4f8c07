"""GGUF files: check the header, detect truncation, find the projector beside a model."""

from __future__ import annotations

import mmap
import re
import struct
from pathlib import Path

MAGIC = b"GGUF"
_MIN_HEADER_BYTES = 24
"""Size of the shortest header."""
_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a metadata value by type number; strings (8) and arrays (9) have variable length."""
_TEXT, _LIST = 8, 9
_BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292), 30: (1, 2)},
}
"""Numbers and bytes of a tensor block, by type number."""
_SUPPORTED = tuple(MAGIC + version.to_bytes(4, "little") for version in (2, 3))
"""First bytes of the supported versions."""
_ALIGNMENT = b"general.alignment"
_PROJECTOR = "mmproj"
_QUANT = re.compile(r"[-_.](i?q\d\w*|b?f16|fp16|f32|ud|model)$")


def header_fault(file: Path) -> str | None:
    """Return why a file cannot be a GGUF model; None: its beginning is valid."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_MIN_HEADER_BYTES)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not head:
        return "is empty"
    if not head.startswith(MAGIC):
        return f"is not a GGUF file (it begins with {head[:4]!r})"
    return "ends within its header: it is truncated" if len(head) < _MIN_HEADER_BYTES else None


def truncation_fault(file: Path) -> str | None:
    """Return the fault of a truncated GGUF file; None: it is complete or of another format."""
    size = file.stat().st_size
    try:
        with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as held:
            needed = _Header(held).end if held[: len(_SUPPORTED[0])] in _SUPPORTED else 0
    except struct.error:
        return "is truncated: it ends within its header"
    except (ValueError, KeyError, OSError):
        return None
    if size >= needed:
        return None
    return f"is truncated: {size / 1e6:,.1f} of at least {needed / 1e6:,.1f} MB are there"


class _Header:
    """Parses a header; ``end`` is the end of the last tensor, or its beginning if its type is unknown."""

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
        # written for speed: vocabularies have hundreds of thousands of strings
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


def find_projector(file: Path, *, is_multimodal: bool) -> Path | None:
    """Return the projector of a model file in the same folder; None: there is none.

    A projector with the model's name belongs to the model. A general one (``mmproj-F16.gguf``) belongs to it if the
    model is multimodal, or is the only model in the folder.

    Args:
        file: the file of the model.
        is_multimodal: whether the model is known to take images or audio.
    """
    beside = sorted(file.parent.glob("*.gguf"))
    projectors = [path for path in beside if _PROJECTOR in path.name.lower()]
    if file in projectors:
        return None
    wanted = _name(file)
    named = [path for path in projectors if _name(path) and wanted.startswith(_name(path))]
    alone = len(beside) - len(projectors) == 1
    general = [path for path in projectors if not _name(path)] if is_multimodal or alone else []
    return next(iter([*sorted(named, key=lambda path: -len(_name(path))), *general]), None)


def _name(file: Path) -> str:
    """Return the model name in a file name, without suffixes of the quantisation."""
    name = f"-{file.stem.lower()}".replace(_PROJECTOR, "")
    while (shorter := _QUANT.sub("", name)) != name:
        name = shorter
    return name.strip("-_.")
