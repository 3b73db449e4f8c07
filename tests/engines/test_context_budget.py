"""The shared context: answers wait for free tokens in order, and cancelled ones release theirs."""

from __future__ import annotations

import asyncio

import pytest

from qwendesk.engines.llamacpp.engine import ContextBudget


async def test_who_finds_no_room_waits_and_nobody_overtakes() -> None:
    budget, order = ContextBudget(100), list[str]()
    done = asyncio.Event()

    async def answer(name: str, tokens: int) -> None:
        async with budget.reserved(tokens):
            order.append(name)
            await done.wait()

    tasks = [asyncio.create_task(answer(name, tokens)) for name, tokens in (("a", 60), ("b", 50), ("c", 10))]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == ["a"], "the small one does not overtake the one that waits"
    done.set()
    await asyncio.gather(*tasks)
    assert order == ["a", "b", "c"]


async def test_who_gives_up_waiting_takes_nothing() -> None:
    budget = ContextBudget(100)
    async with budget.reserved(1000):
        waiting = asyncio.create_task(budget.reserved(50).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    async with asyncio.timeout(1), budget.reserved(100):
        pass
