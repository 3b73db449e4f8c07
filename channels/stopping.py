"""Wait for something, or for the moment when all is to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def rest(stopping: asyncio.Event, seconds: float) -> None:
    """Wait so long, or until all stops."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def unless(stopping: asyncio.Event, asking: Coroutine[Any, Any, T]) -> T | None:
    """Return what is asked for, or None as soon as all stops; what was asked is then given up."""
    task, stop = asyncio.ensure_future(asking), asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        stop.cancel()
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task
