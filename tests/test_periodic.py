"""Periodic work goes on after an error, and ends when it is stopped."""

from __future__ import annotations

import asyncio

import pytest

from qwendesk.periodic import PeriodicTask


async def test_an_error_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    calls, again = 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise OSError("the disk is full")
        again.set()

    task = PeriodicTask(work, 0.001)
    task.start()
    async with asyncio.timeout(20):
        await again.wait()
    await task.stop()
    done = calls
    await asyncio.sleep(0.01)
    assert calls == done and "OSError" in caplog.text
