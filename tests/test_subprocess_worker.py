"""A child process whose start is cancelled."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from qwendesk import subprocess_worker

MODULE = "qwendesk.knowledge.readers.worker"


def children() -> list[str]:
    return [line for child in psutil.Process().children() if MODULE in (line := " ".join(child.cmdline()))]


@pytest.mark.parametrize("cancellations", [1, 2, 3])
async def test_a_cancelled_start_leaves_no_process_behind(cancellations: int) -> None:
    starting = asyncio.ensure_future(subprocess_worker.start(MODULE))
    await asyncio.sleep(0)
    for _ in range(cancellations):
        starting.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == []
