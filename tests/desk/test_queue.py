"""The queue: a message is soon taken, in its conversation's order, and by another worker if its own is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import psycopg
import pytest
from dbos import DBOSClient

from qwendesk.desk.inbox.queue import DurableQueue
from qwendesk.desk.inbox.recovery import WorkerRecovery
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository
from tests import postgres_server
from tests.databases import another_file_in_place
from tests.desk.parts import running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'queue.db'}"
        return
    with postgres_server.database(empty=True) as url:
        yield url


async def hang(messages: Sequence[Any]) -> str:
    await asyncio.sleep(3600)
    return "never"


async def test_a_message_is_taken_soon_after_it_was_accepted(tmp_path: Path, url: str) -> None:
    begun: dict[str, float] = {}

    def script(messages: Sequence[Any]) -> str:
        begun.setdefault(messages[-1].text, monotonic())
        return "fine"

    async with running(tmp_path, script, url=url) as desk:
        waited = []
        for number in range(8):
            text = f"message {number}"
            await desk.say(text, f"c{number}")
            accepted = monotonic()
            await desk.settle()
            waited.append(begun[text] - accepted)
    # the quickest, as the machine may be busy
    assert min(waited) < 0.5


async def test_messages_of_a_conversation_are_answered_in_order_and_others_meanwhile(tmp_path: Path, url: str) -> None:
    at_once: set[str] = set()
    most = 0

    async def script(messages: Sequence[Any]) -> str:
        nonlocal most
        text = messages[-1].text
        assert not any(other.startswith(text[0]) for other in at_once), "two of one conversation"
        at_once.add(text)
        most = max(most, len(at_once))
        await asyncio.sleep(0.3)
        at_once.discard(text)
        return f"re {text}"

    async with running(tmp_path, script, url=url) as desk:
        for number in range(4):
            for conversation in "ab":
                await desk.say(f"{conversation}{number}", conversation)
        await desk.settle(60)
        for conversation in "ab":
            texts = [text for text in desk.outlet.texts if text.startswith(f"re {conversation}")]
            assert texts == [f"re {conversation}{number}" for number in range(4)]
    assert most == 2


async def test_what_a_stopped_worker_had_in_hand_is_answered_by_the_next(tmp_path: Path, url: str) -> None:
    async with running(tmp_path, hang, url=url, stop_timeout=0.5) as desk:
        await desk.say("first")
        await desk.say("second")
        async with asyncio.timeout(60):
            while not desk.runtime.queue.running():  # noqa: ASYNC110 - the queue tells nobody what it hands over
                await asyncio.sleep(0.02)
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}", url=url) as desk:
        await desk.settle(60)
        assert desk.outlet.texts == ["re first", "re second"]


async def test_a_handler_may_end_while_the_stop_forgives_the_interrupted_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = asyncio.Event()
    forgive = InboxRepository.forgive_attempt

    async def script(messages: Sequence[Any]) -> str:
        await released.wait()
        return "late"

    async def forgive_while_handlers_end(inbox: InboxRepository, claimed: ClaimedMessage) -> None:
        released.set()
        async with asyncio.timeout(30):
            while desk.runtime.queue.running():  # noqa: ASYNC110 - the queue tells nobody what it hands over
                await asyncio.sleep(0.02)
        await forgive(inbox, claimed)

    async with running(tmp_path, script, stop_timeout=0.5) as desk:
        monkeypatch.setattr(InboxRepository, "forgive_attempt", forgive_while_handlers_end)
        for conversation in "ab":
            await desk.say("hello there", conversation)
        async with asyncio.timeout(60):
            while len(desk.runtime.queue.running()) < 2:  # noqa: ASYNC110 - the queue tells nobody what it hands over
                await asyncio.sleep(0.02)
    assert released.is_set() and not desk.runtime.queue.running()


async def test_a_step_of_the_stop_that_fails_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    destroyed: list[DBOSClient] = []
    destroy = DBOSClient.destroy

    def note(client: DBOSClient) -> None:
        destroyed.append(client)
        destroy(client)

    async def fail(inbox: InboxRepository, claimed: ClaimedMessage) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(DBOSClient, "destroy", note)
    with pytest.raises(RuntimeError, match="a bug"):
        async with running(tmp_path, hang, stop_timeout=0.5) as desk:
            monkeypatch.setattr(InboxRepository, "forgive_attempt", fail)
            await desk.say("first")
            async with asyncio.timeout(60):
                while not desk.runtime.queue.running():  # noqa: ASYNC110 - the queue tells nobody what it hands over
                    await asyncio.sleep(0.02)
    assert len(destroyed) == 1
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}") as another:
        await another.settle()
        assert another.outlet.texts == ["re first"]


@pytest.mark.server
async def test_recovery_starts_and_goes_on_after_an_unexpected_error(monkeypatch: pytest.MonkeyPatch) -> None:
    connect, errors = psycopg.AsyncConnection.connect, [RuntimeError("a bug")]
    pending_errors, has_checked = [RuntimeError("another bug")], asyncio.Event()

    async def fail_once(*args: Any, **values: Any) -> Any:
        if errors:
            raise errors.pop()
        return await connect(*args, **values)

    async def pending(queue: DurableQueue) -> dict[str, set[str]]:
        if pending_errors:
            raise pending_errors.pop()
        has_checked.set()
        return {}

    with postgres_server.database() as url:
        monkeypatch.setattr(psycopg.AsyncConnection, "connect", fail_once)
        monkeypatch.setattr(DurableQueue, "pending", pending)
        recovery = WorkerRecovery(url, DurableQueue(url))
        try:
            async with asyncio.timeout(60):
                await recovery.start()
                await has_checked.wait()
        finally:
            await recovery.stop()
    assert not errors and not pending_errors


async def test_messages_are_handled_after_the_sqlite_file_was_replaced_for_a_while(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}") as desk:
        queue = desk.runtime.queue
        with another_file_in_place(desk.runtime.database.whole_database.file):
            # all at once, so that the queue's pool would open new connections
            await asyncio.gather(*(queue.pending() for _ in range(8)), return_exceptions=True)
        for number in range(8):
            await desk.say(f"message {number}", f"c{number}")
        await desk.settle()
        assert sorted(desk.outlet.texts) == [f"re message {number}" for number in range(8)]
