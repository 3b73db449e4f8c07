"""A message that is pending for a worker without a running handler is requeued (PostgreSQL)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url

from qwendesk.desk.inbox.queue import DurableQueue
from qwendesk.desk.inbox.recovery import WorkerRecovery
from tests import postgres_server

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]


@pytest.fixture
def url() -> Iterator[str]:
    with postgres_server.database() as url:
        yield url


async def test_a_pending_message_without_handler_does_not_block_its_conversation(
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

    queue = DurableQueue(url)
    await queue.open()
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        for number, id_ in enumerate(("first", "second"), start=1):
            queue.enqueue(connection, id_, "conversation", number)
    engine.dispose()
    monkeypatch.setattr(queue, "running", set)
    recovery = WorkerRecovery(url, queue)
    await recovery.start()
    await queue.run(handle)
    try:
        await asyncio.wait_for(is_over.wait(), 120)
    finally:
        await queue.stop(5)
        await recovery.stop()
        await queue.aclose()
    assert handled == ["first", "first", "second"]
