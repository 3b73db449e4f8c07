"""The request queue of a model."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from qwendesk.engines.concurrency import RequestQueue
from qwendesk.errors import EngineTimeout


def silent(text: str) -> None:
    pass


class HeldRequest:
    """A request that holds a slot until it is released."""

    def __init__(self, queue: RequestQueue, log: list[str], name: str) -> None:
        self.go, self.heard = asyncio.Event(), asyncio.Queue[str]()
        self.task = asyncio.create_task(self._hold(queue, log, name))

    async def _hold(self, queue: RequestQueue, log: list[str], name: str) -> None:
        async with queue.slot(self.heard.put_nowait):
            log.append(name)
            await self.go.wait()

    async def leave(self) -> None:
        self.go.set()
        await self.task


async def settled() -> None:
    """Let every task run as far as it can without waiting."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_so_many_at_once_and_the_others_in_their_order() -> None:
    queue, log = RequestQueue("big", 2, 30), list[str]()
    requests = [HeldRequest(queue, log, name) for name in "abcd"]
    await settled()
    assert (log, queue.waiting) == (["a", "b"], 2)
    await requests[1].leave()
    await settled()
    assert log == ["a", "b", "c"]
    for request in requests:
        await request.leave()
    assert (log, queue.waiting) == (["a", "b", "c", "d"], 0)


async def test_who_waits_hears_how_many_are_ahead() -> None:
    queue, log = RequestQueue("big", 1, 30, first_notice=0.0), list[str]()
    requests = [HeldRequest(queue, log, name) for name in "abc"]
    assert await requests[2].heard.get() == "big is busy; waiting: 1 ahead"
    assert requests[0].heard.empty(), "who has a place hears nothing"
    for request in requests:
        await request.leave()


async def test_who_is_stopped_leaves_the_line() -> None:
    queue, log = RequestQueue("big", 1, 30), list[str]()
    first, second, third = (HeldRequest(queue, log, name) for name in "abc")
    await settled()
    second.task.cancel()
    await settled()
    assert queue.waiting == 1
    await first.leave()
    await settled()
    assert log == ["a", "c"]
    await third.leave()


async def test_a_place_given_to_one_who_is_stopped_goes_to_the_next() -> None:
    queue, log = RequestQueue("big", 1, 30), list[str]()
    first, second, third = (HeldRequest(queue, log, name) for name in "abc")
    await settled()
    first.go.set()
    await first.task  # the second got its slot and has not run yet
    second.task.cancel()
    await settled()
    assert log[-1] == "c"
    await third.leave()
    async with AsyncExitStack() as stack, asyncio.timeout(60):
        await stack.enter_async_context(queue.slot(silent))


async def test_waiting_ends_with_a_text_that_says_what_to_do() -> None:
    queue, log = RequestQueue("big", 1, 0.01), list[str]()
    first = HeldRequest(queue, log, "a")
    await settled()
    with pytest.raises(EngineTimeout, match=r"big was busy .* QWENDESK_QUEUE_TIMEOUT"):
        async with queue.slot(silent):
            pass
    assert queue.waiting == 0
    await first.leave()


async def test_a_failure_gives_its_place_back() -> None:
    queue = RequestQueue("big", 1, 30)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            async with queue.slot(silent):
                raise ZeroDivisionError
