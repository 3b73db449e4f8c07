"""Limits of the web server: connections, bytes and times; and limits of its process on open files and memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from dataclasses import dataclass

_OTHER_FILES = 256
"""Open files reserved for the database, models, channels and tools."""


_MIN_CONNECTIONS = 32
_M_MMAP_THRESHOLD = -3
"""Option of glibc's ``mallopt``."""


_LARGE_BLOCK_BYTES = 2**20


def raise_open_files(connections: int) -> None:
    """Raise the limit on open files for that many connections, as far as the system allows."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # the system refuses: fewer connections are possible
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def possible_connections(wanted: int) -> int:
    """Return the number of connections, at most ``wanted``, that the limit on open files allows."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(_MIN_CONNECTIONS, min(wanted, soft - _OTHER_FILES))


def release_large_blocks() -> None:
    """Make glibc map each large block separately, so that freeing it returns it to the system.

    By default glibc allocates blocks of up to 32 MiB on its heap once some were freed, and the heap seldom shrinks.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # another C library
            ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BLOCK_BYTES)


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits of the web server; times in seconds, sizes in bytes."""

    connections: int = 1000
    """Maximum number of open connections."""
    connections_per_address: int = 100
    bytes_in_flight: int = 64 * 2**20
    """Maximum number of received and unprocessed bytes of bodies and WebSocket messages."""
    bytes_in_flight_per_address: int = 32 * 2**20
    header_timeout: float = 10.0
    """Time limit for a request's head."""
    body_timeout: float = 120.0
    """Time limit for a body or one WebSocket message."""
    min_rate: float = 8192.0
    """Minimum average rate of a body after ``header_timeout``, in bytes per second."""
    socket_idle_timeout: float = 3600.0
    """Time without messages after which a WebSocket is closed."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose ``X-Forwarded-For`` header is trusted."""

    def deadline(self, begun: float, received: int) -> float:
        """Return the deadline for more of a body that began at ``begun``, after ``received`` bytes."""
        return begun + min(self.body_timeout, self.header_timeout + received / self.min_rate)
