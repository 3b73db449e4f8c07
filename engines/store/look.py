"""A look at a file's first bytes, before a library is asked to load it."""

from __future__ import annotations

from pathlib import Path

MAGIC = b"GGUF"
_SMALLEST = 24
"""Bytes of the shortest header of the format."""


def fault_of(file: Path) -> str | None:
    """Say why a file can be no model; None where it may be one."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_SMALLEST)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not head:
        return "is empty"
    if not head.startswith(MAGIC):
        return f"is no GGUF file (it begins with {head[:4]!r})"
    return "ends within its header: it is truncated" if len(head) < _SMALLEST else None
