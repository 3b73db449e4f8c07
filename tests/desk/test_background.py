"""Work that waits until nobody does."""

import asyncio

import pytest

from qwendesk.desk.turns.background import BackgroundJobs, FinishedTurn
from qwendesk.errors import EngineError
from qwendesk.messages import Inbound


def over(conversation: str) -> FinishedTurn:
    return FinishedTurn(Inbound("q", conversation), None, 0, 0)


async def test_each_conversation_is_looked_at_once() -> None:
    done: list[str] = []

    async def job(one: FinishedTurn) -> None:
        done.append(one.inbound.conversation)

    background = BackgroundJobs([job], idle_seconds=0)
    for conversation in "aab":
        background.schedule(over(conversation))
    await background.wait()
    assert done == ["a", "b"]


async def test_a_turn_stops_the_work_and_it_begins_again_after_it() -> None:
    begun: list[str] = []
    may_end = asyncio.Event()
    started = asyncio.Event()

    async def job(one: FinishedTurn) -> None:
        begun.append(one.inbound.conversation)
        started.set()
        await may_end.wait()

    background = BackgroundJobs([job], idle_seconds=0)
    background.schedule(over("a"))
    await started.wait()
    with background.turn():
        may_end.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert begun == ["a"]
    await background.wait()
    assert begun == ["a", "a"]


async def test_a_job_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def fails(one: FinishedTurn) -> None:
        raise EngineError("out of order") if one.inbound.conversation == "a" else ValueError("my secret")

    async def works(one: FinishedTurn) -> None:
        done.append(one.inbound.conversation)

    background = BackgroundJobs([fails, works], idle_seconds=0)
    background.schedule(over("a"))
    background.schedule(over("b"))
    await background.wait()
    assert done == ["a", "b"]
    assert "out of order" in caplog.text and "ValueError" in caplog.text and "secret" not in caplog.text


async def test_closing_stops_the_work() -> None:
    started, ended = asyncio.Event(), list[bool]()

    async def job(one: FinishedTurn) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    background = BackgroundJobs([job], idle_seconds=0)
    background.schedule(over("a"))
    await started.wait()
    await asyncio.wait_for(background.aclose(), 5)
    await background.aclose()
    assert ended == [True]
