"""One pull of a model at a time, across processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PAUSE = 0.2


@asynccontextmanager
async def held(path: Path, waiting: Callable[[], None]) -> AsyncIterator[None]:
    """Hold a lock file; a killed process loses it by itself.

    Args:
        path: the lock file; its folder is made.
        waiting: called once when somebody else holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False)
    if not _taken(lock):
        waiting()
        # another process holds it: there is no event to wait for
        while not _taken(lock):  # noqa: ASYNC110
            await asyncio.sleep(_PAUSE)
    try:
        yield
    finally:
        lock.release()


def _taken(lock: FileLock) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
