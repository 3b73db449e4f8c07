"""Memory of large bodies goes back to the system once they are read."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

_MMAP_THRESHOLD = -3
"""``M_MMAP_THRESHOLD`` of glibc's ``mallopt``."""
_LARGE = 2**20
"""Bytes."""


def give_back_large_blocks() -> None:
    """Have glibc map each large block on its own, so that freeing it gives it back.

    Left alone, glibc takes blocks of up to 32 MiB from its heap once some were freed, and the heap seldom shrinks.
    """
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)
