"""A message that the queue notes as in this worker's hands, but is not: a note lost as the connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url

from qwendesk.desk.inbox.queue import Dispatcher
from qwendesk.desk.inbox.recovery import WorkerRecovery
from tests import postgres_server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


async def test_a_message_that_nothing_has_in_hand_does_not_hold_up_its_conversation(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[str] = []
    is_over = asyncio.Event()

    async def handle(id_: str) -> None:
        handled.append(id_)
        if len(handled) == 1:
            await is_over.wait()
        elif id_ == "second":
            is_over.set()

    dispatcher = Dispatcher(url)
    await dispatcher.open()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for number, id_ in enumerate(("first", "second"), start=1):
            dispatcher.enqueue(connection, id_, "conversation", number)
    engine.dispose()
    monkeypatch.setattr(dispatcher, "running", set)
    recovery = WorkerRecovery(url, dispatcher)
    await recovery.start()
    await dispatcher.run(handle)
    try:
        await asyncio.wait_for(is_over.wait(), 120)
    finally:
        await dispatcher.stop(5)
        await recovery.stop()
        await dispatcher.aclose()
    assert handled == ["first", "first", "second"]
