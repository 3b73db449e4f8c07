"""Work that waits until nobody does."""

import asyncio

import pytest

from qwendesk.desk.turns.background import Background, Over
from qwendesk.errors import EngineError
from qwendesk.messages import Inbound


def over(conversation: str) -> Over:
    return Over(Inbound("q", conversation), None, 0, 0)


async def test_each_conversation_is_looked_at_once() -> None:
    done: list[str] = []

    async def job(one: Over) -> None:
        done.append(one.inbound.conversation)

    background = Background([job], idle=0)
    for conversation in "aab":
        background.note(over(conversation))
    await background.settle()
    assert done == ["a", "b"]


async def test_a_turn_stops_the_work_and_it_begins_again_after_it() -> None:
    begun: list[str] = []
    may_end = asyncio.Event()
    started = asyncio.Event()

    async def job(one: Over) -> None:
        begun.append(one.inbound.conversation)
        started.set()
        await may_end.wait()

    background = Background([job], idle=0)
    background.note(over("a"))
    await started.wait()
    with background.turn():
        may_end.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert begun == ["a"]
    await background.settle()
    assert begun == ["a", "a"]


async def test_a_job_that_fails_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def fails(one: Over) -> None:
        raise EngineError("out of order") if one.inbound.conversation == "a" else ValueError("my secret")

    async def works(one: Over) -> None:
        done.append(one.inbound.conversation)

    background = Background([fails, works], idle=0)
    background.note(over("a"))
    background.note(over("b"))
    await background.settle()
    assert done == ["a", "b"]
    assert "out of order" in caplog.text and "ValueError" in caplog.text and "secret" not in caplog.text


async def test_closing_stops_the_work() -> None:
    started, ended = asyncio.Event(), list[bool]()

    async def job(one: Over) -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    background = Background([job], idle=0)
    background.note(over("a"))
    await started.wait()
    await asyncio.wait_for(background.aclose(), 5)
    await background.aclose()
    assert ended == [True]
