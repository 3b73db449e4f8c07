"""Lasting connections: what becomes of messages and of silence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from qwendesk.channels import connection as link_module
from qwendesk.channels.connection import Connection
from qwendesk.channels.ingest import Fetch
from qwendesk.channels.persistent_connection import PersistentConnectionChannel
from qwendesk.errors import ChannelError
from qwendesk.messages import Admission, Attachment, Inbound, Outbound


class Wire(Connection):
    """A connection over which nothing goes."""

    title = "Wire"

    def __init__(self) -> None:
        super().__init__({}, lambda *_: None)
        self.heard = asyncio.Event()

    async def open(self) -> None:
        """Be open."""

    def set_receiving(self, receiving: bool) -> None:
        """Say that the line is there."""
        self.heard.set()

    def status(self) -> str:
        """Say what it is."""
        return "a wire"

    async def send(self, message: Outbound) -> None:
        """Send nothing."""
        raise AssertionError(message)


class Wired(PersistentConnectionChannel):
    """A channel over such connections."""

    def make_connection(self) -> Wire:
        """Make one."""
        self.wire = Wire()
        return self.wire

    async def heard(self) -> None:
        """Wait until it listens."""
        await self.connect()
        await self.wire.heard.wait()


async def taken(accepted: list[Inbound], count: int) -> None:
    async with asyncio.timeout(60):
        while len(accepted) < count:  # noqa: ASYNC110 - what is waited for is a list
            await asyncio.sleep(0.01)


async def odd() -> Attachment:
    raise RuntimeError("a secret")


async def test_one_odd_message_takes_no_other_with_it(caplog: pytest.LogCaptureFixture) -> None:
    accepted: list[Inbound] = []

    async def accept(inbound: Inbound) -> Admission:
        if inbound.text == "bad":
            raise KeyError("a secret")
        accepted.append(inbound)
        return Admission("accepted")

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await asyncio.sleep(0)  # it begins
    await line.heard()
    line.enqueue(Inbound("look", "c"), odd)
    line.enqueue(Inbound("bad", "c"))
    line.enqueue(Inbound("good", "c"))
    await taken(accepted, 2)
    assert [(one.text, one.unsupported_media) for one in accepted] == [("look", "file"), ("good", None)]
    assert all(one.event for one in accepted) and accepted[0].event != accepted[1].event
    assert "RuntimeError" in caplog.text and "KeyError" in caplog.text and "a secret" not in caplog.text
    assert not running.done()
    await line.stop()
    await running
    assert "messages are lost" not in caplog.text


async def test_what_is_lost_at_the_end_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    asked = asyncio.Event()

    async def accept(inbound: Inbound) -> Admission:
        asked.set()
        return Admission("busy")

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await asyncio.sleep(0)  # it begins
    await line.heard()
    for text in "abc":
        line.enqueue(Inbound(text, "c"))
    await asked.wait()
    with caplog.at_level(logging.ERROR):
        await line.stop()
        await running
    assert "3 messages are lost" in caplog.text


async def test_a_silent_connection_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "TIMEOUT_SECONDS", 0.01)
    line = Wired()
    first = await line.connect()
    with pytest.raises(ChannelError, match="did not answer"):
        await first.wait_for(asyncio.Event().wait())
    assert first.closed.done() and await line.connect() is not first


async def test_the_other_side_is_asked_until_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "PING_INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(link_module, "TIMEOUT_SECONDS", 0.05)
    asked: list[int] = []

    async def ping(name: str) -> None:
        asked.append(len(asked))
        if len(asked) == 2:
            raise ChannelError("That question is not allowed.")  # an answer all the same
        if len(asked) == 3:
            await asyncio.Event().wait()

    wire = Wire()
    monkeypatch.setattr(wire, "ping", ping)
    assert "does not answer" in str(await wire.wait_closed())
    assert asked == [0, 1, 2]


async def test_a_connection_ends_with_what_it_lives_by_and_the_other_way(caplog: pytest.LogCaptureFixture) -> None:
    async def lines(error: Exception | None) -> AsyncIterator[str]:
        yield "1"
        yield "one"
        yield "2"
        if error:
            raise error

    read: list[int] = []
    for error, why in ((None, "server closed the connection"), (ValueError("too long"), "broke, too long")):
        wire = Wire()
        wire.start_task(wire.read_all(lines(error), lambda text: read.append(int(text))))
        assert why in str(await wire.closed)
    assert read == [1, 2, 1, 2] and "malformed input is ignored" in caplog.text


async def test_what_a_connection_lives_by_is_over_where_the_desk_hangs_up() -> None:
    begun, over = asyncio.Event(), asyncio.Event()

    async def forever() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            over.set()

    wire = Wire()
    wire.start_task(forever())
    await begun.wait()
    await wire.close()
    assert over.is_set() and "the desk closed the connection" in str(wire.closed.result())


async def test_why_nothing_is_heard_is_told() -> None:
    async def accept(inbound: Inbound) -> Admission:
        raise AssertionError(inbound)

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await asyncio.sleep(0)  # it begins
    await line.heard()
    wire = line.wire
    wire.rooms["lobby"] = wire.heard.set
    wire.mark_left("lobby", "closed")
    wire.mark_left("cellar", "nobody asked to be there")
    assert line.receive_error == "Wire: the desk is not in lobby (closed)."
    wire.mark_joined("lobby")
    assert line.receive_error == ""
    wire.fail("the wire is cut")
    async with asyncio.timeout(60):
        while "cut" not in line.receive_error:  # noqa: ASYNC110 - what is waited for is a text
            await asyncio.sleep(0.01)
    await line.stop()
    await running


async def test_a_slow_file_holds_up_only_its_own_conversation() -> None:
    accepted: list[Inbound] = []
    ready = {name: asyncio.Event() for name in "ab"}

    async def accept(inbound: Inbound) -> Admission:
        accepted.append(inbound)
        return Admission("accepted")

    def slow(name: str) -> Fetch:
        async def fetch() -> Attachment:
            await ready[name].wait()
            return Attachment("document", "text/plain", name.encode(), name)

        return fetch

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await line.heard()
    line.enqueue(Inbound("look at a", "anna"), slow("a"))
    line.enqueue(Inbound("and?", "anna"))
    line.enqueue(Inbound("look at b", "bert"), slow("b"))
    line.enqueue(Inbound("hello", "carla"))
    await taken(accepted, 1)
    ready["b"].set()
    await taken(accepted, 2)
    assert [one.text for one in accepted] == ["hello", "look at b"]
    ready["a"].set()
    await taken(accepted, 4)
    assert [one.text for one in accepted[2:]] == ["look at a", "and?"]
    assert [file.data for one in accepted for file in one.attachments] == [b"b", b"a"]
    await line.stop()
    await running


async def test_only_a_few_files_are_fetched_at_the_same_time() -> None:
    accepted: list[Inbound] = []
    fetching, most = 0, 0

    async def accept(inbound: Inbound) -> Admission:
        accepted.append(inbound)
        return Admission("accepted")

    async def fetch() -> Attachment:
        nonlocal fetching, most
        fetching += 1
        most = max(most, fetching)
        await asyncio.sleep(0)
        fetching -= 1
        return Attachment("document", "text/plain", b"", "a.txt")

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await line.heard()
    for number in range(9):
        line.enqueue(Inbound("look", f"c{number}"), fetch)
    await taken(accepted, 9)
    assert most == 4
    await line.stop()
    await running


async def test_what_came_before_the_end_was_asked_for_is_handed_over(caplog: pytest.LogCaptureFixture) -> None:
    accepted: list[Inbound] = []
    begun, ready = asyncio.Event(), asyncio.Event()

    async def accept(inbound: Inbound) -> Admission:
        accepted.append(inbound)
        return Admission("accepted")

    async def fetch() -> Attachment:
        begun.set()
        await ready.wait()
        return Attachment("document", "text/plain", b"", "a.txt")

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await line.heard()
    line.enqueue(Inbound("look", "anna"), fetch)
    line.enqueue(Inbound("and?", "anna"))
    await begun.wait()
    await line.stop()
    ready.set()
    await running
    assert [one.text for one in accepted] == ["look", "and?"] and "lost" not in caplog.text


async def test_a_file_that_never_comes_is_given_up_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    begun = asyncio.Event()

    async def accept(inbound: Inbound) -> Admission:
        raise AssertionError(inbound)

    async def fetch() -> Attachment:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    line = Wired()
    running = asyncio.create_task(line.start(accept))
    await line.heard()
    line.enqueue(Inbound("look", "anna"), fetch)
    await begun.wait()
    await line.stop()
    running.cancel()
    await asyncio.wait([running])
    assert "1 messages are lost" in caplog.text


async def test_a_message_that_is_refused_before_the_next_sign_fails_and_no_other() -> None:
    wire = Wire()
    async with wire.confirming("good", "anna"):
        with pytest.raises(ChannelError, match="Wire refuses the message: too long") as caught:
            async with wire.confirming("bad", "bert") as refusals:
                wire.refuse("bad", "too long", permanent=True)
                assert len(refusals) == 1
        assert caught.value.permanent
    wire.refuse("bad", "again", permanent=True)
    assert wire.pending == {}
