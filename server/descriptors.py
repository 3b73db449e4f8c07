"""How many files and connections the process may have open."""

from __future__ import annotations

import contextlib
import sys

_OTHERS = 256
"""Open files that the database, models, channels and tools need."""
_LEAST = 32


def raise_limit(connections: int) -> None:
    """Let the process have so many connections, as far as the system allows it."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHERS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # then there are fewer connections
            limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))


def room_for(connections: int) -> int:
    """Return how many connections there can be, of those that are wanted."""
    if sys.platform == "win32":
        return connections
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    return max(_LEAST, min(connections, soft - _OTHERS))
