"""Limits of the process: open files, and memory that large bodies leave behind."""

from __future__ import annotations

import contextlib
import ctypes
import sys

_OTHER_FILES = 256
"""Open files that the database, models, channels and tools need."""
_MIN_CONNECTIONS = 32
_M_MMAP_THRESHOLD = -3
"""Option of glibc's ``mallopt``."""
_LARGE_BLOCK_BYTES = 2**20


def raise_open_files(connections: int) -> None:
    """Raise the limit on open files for this many connections, as far as the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # then there are fewer connections
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def possible_connections(wanted: int) -> int:
    """Return how many of the wanted connections the limit on open files allows."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_MIN_CONNECTIONS, min(wanted, soft - _OTHER_FILES))


def release_large_blocks() -> None:
    """Make glibc map each large block separately, so that freeing it returns it to the system.

    By default glibc takes blocks of up to 32 MiB from its heap once some were freed, and the heap seldom shrinks.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)
