"""Limits of the web server: connections, bytes and times; and limits of its process on open files and memory."""

from __future__ import annotations

import contextlib
import ctypes
import sys
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits of the web server; times in seconds, sizes in bytes."""

    connections: int = 1000
    """Open connections in all."""
    connections_per_address: int = 100
    bytes_in_flight: int = 64 * 2**20
    """Bytes of bodies and WebSocket messages that have come and are not worked off, in all."""
    bytes_in_flight_per_address: int = 32 * 2**20
    header_timeout: float = 10.0
    """For a request's head."""
    body_timeout: float = 120.0
    """For a body, and for one WebSocket message."""
    least_rate: float = 8192.0
    """Bytes a second that a body has to come with, on average after ``header_timeout``."""
    socket_idle_timeout: float = 3600.0
    """After which a WebSocket is closed over which no message goes."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose ``X-Forwarded-For`` is believed."""

    def due(self, begun: float, received: int) -> float:
        """Return until when more of a body has to come that began then, of which so many bytes are here."""
        return begun + min(self.body_timeout, self.header_timeout + received / self.least_rate)
