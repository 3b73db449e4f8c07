"""Periodic work goes on after an error, and ends when it is stopped."""

from __future__ import annotations

import asyncio
import logging

import pytest

from qwendesk.errors import StoreError
from qwendesk.periodic import PeriodicTask


async def run_after(error: Exception) -> int:
    """Run work that fails once until it is called again; return how often it was called after the stop."""
    calls, again = 0, asyncio.Event()

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise error
        again.set()

    task = PeriodicTask(work, 0.001, "counting")
    task.start()
    async with asyncio.timeout(20):
        await again.wait()
    await task.stop()
    done = calls
    await asyncio.sleep(0.01)
    return calls - done


async def test_an_error_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    assert await run_after(OSError("the disk is full")) == 0
    (logged,) = caplog.records
    assert logged.levelno == logging.ERROR and logged.exc_info
    assert "counting" in logged.getMessage() and "OSError" in logged.getMessage()


async def test_a_database_that_is_away_is_logged_plainly(caplog: pytest.LogCaptureFixture) -> None:
    assert await run_after(StoreError("The database 'desk' cannot be reached.")) == 0
    (logged,) = caplog.records
    assert logged.levelno == logging.WARNING and not logged.exc_info
    assert (
        logged.getMessage() == "Periodic work, counting, waits for the database: The database 'desk' cannot be reached."
    )


async def test_it_begins_at_once_where_that_is_wished() -> None:
    called = asyncio.Event()

    async def work() -> None:
        called.set()

    task = PeriodicTask(work, 3600, "counting", at_once=True)
    task.start()
    async with asyncio.timeout(20):
        await called.wait()
    await task.stop()
