"""An abandoned answer is read on for a moment, because closing its connection at once can block the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from qwendesk.engines.ollama import client
from qwendesk.engines.ollama.client import GracefulClose


class Answer:
    """An answer of a number of pieces that records its end."""

    def __init__(self, length: int) -> None:
        self._length = length
        self.given = 0
        self.ended = ""

    async def pieces(self) -> AsyncGenerator[int, None]:
        try:
            while self.given < self._length:
                await asyncio.sleep(0)
                self.given += 1
                yield self.given
            self.ended = "whole"
        finally:
            self.ended = self.ended or "cut"


async def test_an_answer_is_read_whole() -> None:
    answer, leaving = Answer(3), GracefulClose()
    assert [piece async for piece in leaving.read(answer.pieces())] == [1, 2, 3]
    assert answer.ended == "whole"


async def test_the_rest_of_a_short_answer_is_read_behind_ones_back() -> None:
    answer, leaving = Answer(20), GracefulClose()
    async with aclosing(leaving.read(answer.pieces())) as pieces:
        async for _ in pieces:
            break
    assert not answer.ended, "whoever leaves does not wait"
    await leaving.wait()
    assert answer.ended == "whole"


async def test_who_is_cancelled_while_waiting_leaves_in_the_same_way() -> None:
    answer, leaving = Answer(20), GracefulClose()

    listening = asyncio.Event()

    async def listen() -> None:
        async for _ in leaving.read(answer.pieces()):
            listening.set()

    task = asyncio.create_task(listen())
    await listening.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await leaving.wait()
    assert answer.ended == "whole"


async def test_a_long_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "CLOSE_GRACE_SECONDS", 0.01)
    answer, leaving = Answer(10**9), GracefulClose()
    async with aclosing(leaving.read(answer.pieces())) as pieces:
        async for _ in pieces:
            break
    await leaving.wait()
    assert answer.ended == "cut"


async def test_a_fault_reaches_who_listens() -> None:
    async def broken() -> AsyncGenerator[int, None]:
        yield 1
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        async for _ in GracefulClose().read(broken()):
            pass
