"""What is tried again: nothing is sent twice, nothing is left out, and two texts are not mixed."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwendesk.desk.commands.chat_commands import ChatCommands, CommandResult
from qwendesk.desk.delivery.deliver import Delivery, RetrySchedule
from qwendesk.desk.delivery.outbox import OutboxRepository
from qwendesk.desk.inbox.repository import ClaimedMessage
from qwendesk.errors import ChannelError, EngineError, StoreError
from qwendesk.messages import Author, Outbound
from tests.desk.parts import Abilities, Piece, Running, TestOutlet, running

TWO = "one\n\n\ntwo"


async def rows(desk: Running, statement: str) -> list[Any]:
    async with desk.desk.memory.database.write() as connection:  # type: ignore[attr-defined]
        found = await connection.exec_driver_sql(statement)
        return list(found) if found.returns_rows else []


async def put_back(desk: Running) -> None:
    (row,) = await rows(desk, "SELECT id FROM inbound_event")
    assert await desk.runtime.inbox_maintenance.requeue(row.id, desk.runtime.queue.enqueue)
    await desk.settle()


async def retry(desk: Running) -> None:
    (ticket,) = await desk.runtime.inbox_maintenance.failed_messages()
    assert await desk.runtime.inbox_maintenance.retry(ticket.id, desk.runtime.queue.enqueue)
    await desk.settle()


def failing_once(monkeypatch: pytest.MonkeyPatch, of: type[Any], name: str) -> list[str]:
    """Let a method find the database away at its first call."""
    calls: list[str] = []
    method = getattr(of, name)

    async def fails(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == 1:
            raise StoreError("away")
        return await method(self, *args, **kwargs)

    monkeypatch.setattr(of, name, fails)
    return calls


async def test_a_failed_turn_that_is_retried_brings_its_answer(tmp_path: Path) -> None:
    async with running(tmp_path, [EngineError("no idea"), EngineError("still none"), TWO]) as desk:
        await desk.say("hello")
        await desk.settle()
        await retry(desk)
        assert len(desk.outlet.sent) == 2 and "went wrong" in desk.outlet.texts[1]
        await retry(desk)
        assert desk.outlet.texts[2:] == ["one", "two"]
        assert await desk.runtime.inbox_maintenance.failed_messages() == []
        assert len({message.key for message in desk.outlet.sent}) == 4
        (row,) = await rows(desk, "SELECT conversation_id FROM inbound_event")
        ending = await desk.runtime.outbox.last_part(row.conversation_id, 1)
        assert ending and ending.text == "two", "the thumbs belong to what was said last"


async def test_a_command_that_was_not_delivered_goes_on_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _help_says(monkeypatch, TWO, "something else")
    outlet = TestOutlet(fail=_blocked_at("two"))
    async with running(tmp_path, outlet=outlet) as desk:
        await desk.say("/help")
        await desk.settle()
        outlet.fail = lambda message: None
        await retry(desk)
        assert outlet.texts == ["one", "two"]


async def test_a_stored_answer_is_delivered_however_often_the_desk_was_restarted(tmp_path: Path) -> None:
    async with running(tmp_path, ["once"]) as desk:
        await desk.say("hello")
        await desk.settle()
        await rows(desk, "UPDATE inbound_event SET status = 'queued', runs = 7")
        await rows(desk, "DELETE FROM outbound")
        await put_back(desk)
        assert desk.outlet.texts == ["once", "once"] and len(desk.engine.calls) == 1
        assert await desk.runtime.inbox_maintenance.failed_messages() == []


async def test_a_database_that_is_away_for_a_moment_is_no_run_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_once(monkeypatch, OutboxRepository, "claim")
    async with running(tmp_path, ["once"]) as desk:
        await desk.say("hello")
        await desk.settle()
        assert [row.runs for row in await rows(desk, "SELECT runs FROM inbound_event")] == [1]
        assert desk.outlet.texts == ["once"] and len(desk.engine.calls) == 1


async def test_a_desk_that_is_stopped_holds_nothing_against_its_messages(tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def slow(messages: Any) -> str:
        begun.set()
        await asyncio.sleep(3600)
        return "never"

    async with running(tmp_path, slow, stop_timeout=0.1) as desk:
        await desk.say("hello")
        async with asyncio.timeout(30):
            await begun.wait()
    async with running(tmp_path, ["at last"]) as desk:
        await desk.settle()
        (row,) = await rows(desk, "SELECT runs, forgiven_runs FROM inbound_event")
        assert (row.runs, row.forgiven_runs) == (2, 1)
        assert desk.outlet.texts == ["at last"]


async def test_what_was_begun_to_be_said_is_said_to_its_end_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _help_says(monkeypatch, TWO, "three\n\n\nfour")
    stuck = TestOutlet(fail=_hangs_up_at("two"))
    async with running(tmp_path, outlet=stuck, stop_timeout=0.1, schedule=RetrySchedule(first_pause=0.05)) as desk:
        await desk.say("/help")
        async with asyncio.timeout(30):
            while not stuck.sent:  # noqa: ASYNC110 - delivery tells nobody
                await asyncio.sleep(0.02)
    async with running(tmp_path) as desk:
        await desk.settle()
        assert stuck.texts + desk.outlet.texts == ["one", "two"]


async def test_a_message_that_was_sent_is_not_sent_again_for_want_of_a_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = failing_once(monkeypatch, OutboxRepository, "mark_sent")
    async with running(tmp_path, ["fine"]) as desk:
        await desk.say("hello")
        await desk.settle()
        assert desk.outlet.texts == ["fine"] and len(calls) == 2


async def test_a_posted_beginning_is_completed_though_its_mark_had_to_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(messages: Any) -> str:
        while len(calls) < 2:  # noqa: ASYNC110 - until the mark has been tried again
            await asyncio.sleep(0.02)
        return "fine"

    calls = failing_once(monkeypatch, OutboxRepository, "mark_posted")
    async with running(tmp_path, slow, outlet=TestOutlet(Abilities(edits=True))) as desk:
        await desk.say("hello")
        await desk.settle()
        assert desk.outlet.texts == ["…"] and desk.outlet.edited == [("m1", "fine")]


async def test_a_bug_in_a_command_is_owned_up_to_and_keeps_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def bug(self: ChatCommands, command: object, claimed: object) -> CommandResult:
        raise KeyError("a bug")

    monkeypatch.setattr(ChatCommands, "run", bug)
    async with running(tmp_path, ["fine"]) as desk:
        await desk.say("/help")
        await desk.say("hello")
        await desk.settle()
        assert "went wrong" in desk.outlet.texts[0] and desk.outlet.texts[1:] == ["fine"]
        (ticket,) = await desk.runtime.inbox_maintenance.failed_messages()
        assert ticket.status == "failed" and "KeyError" in ticket.error


@pytest.mark.parametrize("all_", [False, True])
async def test_an_answer_that_cannot_be_cut_into_messages_is_owned_up_to(tmp_path: Path, all_: bool) -> None:
    class Broken(TestOutlet):
        async def split_message(self, text: str, author: Author | None = None) -> list[Piece]:
            if all_ or text == "strange":
                raise ValueError("a bug")
            return await super().split_message(text, author)

    async with running(tmp_path, ["strange", "fine"], outlet=Broken()) as desk:
        await desk.say("hello")
        await desk.say("hello again")
        await desk.settle()
        assert [ticket.status for ticket in await desk.runtime.inbox_maintenance.failed_messages()] == ["failed"] * (
            1 + all_
        )
        assert not all_ or desk.outlet.texts == []
        assert all_ or ("went wrong" in desk.outlet.texts[0] and desk.outlet.texts[1] == "fine")


async def test_a_relieved_run_sends_and_changes_nothing_more(tmp_path: Path) -> None:
    outlet = TestOutlet(Abilities(edits=True))
    async with running(tmp_path, answers=False) as desk:
        first = await _taken(desk)
        outbox = desk.runtime.outbox
        delivery = Delivery(desk.runtime.inbox, outbox, RetrySchedule(first_pause=0.05))
        assert await delivery.show(first, outlet, Piece("be", "be"))
        second = await desk.runtime.inbox.claim(first.id)
        assert second
        assert not await delivery.show(first, outlet, Piece("begun", "begun"))
        await delivery.deliver(second, outlet, "begun and ended", ("done", None))
        assert outlet.edited == [("m1", "begun and ended")]
        await outbox.mark_posted(first, f"{first.id}:0", "another")
        await outbox.mark_failed(first, f"{first.id}:0", "out of luck", ("dead", "out of luck"))
        (stored,) = await desk.stored_parts()
        assert (stored.status, stored.message_id, stored.error) == ("sent", "m1", None)


async def test_what_a_relieved_run_had_just_sent_is_not_sent_again(tmp_path: Path) -> None:
    outlet = TestOutlet()
    async with running(tmp_path, answers=False) as desk:
        first, outbox = await _taken(desk), desk.runtime.outbox
        claim = await outbox.claim(first, 0, "fine")
        second = await desk.runtime.inbox.claim(first.id)
        assert claim and second
        await outbox.mark_sent(first, claim.key, "m0", ("done", None))
        assert await desk.runtime.acceptance.open_count() == 1, "only the newest run closes"
        await Delivery(desk.runtime.inbox, outbox).deliver(second, outlet, "fine", ("done", None))
        assert outlet.texts == [] and await desk.runtime.acceptance.open_count() == 0


async def test_what_a_relieved_run_had_just_begun_to_show_is_gone_on_with(tmp_path: Path) -> None:
    outlet = TestOutlet(Abilities(edits=True))
    async with running(tmp_path, answers=False) as desk:
        first, outbox = await _taken(desk), desk.runtime.outbox
        claim = await outbox.claim(first, 0, "…")
        second = await desk.runtime.inbox.claim(first.id)
        assert claim and second
        await outbox.mark_posted(first, claim.key, "m0")
        await Delivery(desk.runtime.inbox, outbox).deliver(second, outlet, "fine", ("done", None))
        assert (outlet.texts, outlet.edited) == ([], [("m0", "fine")])


async def test_a_run_that_is_relieved_while_it_waits_to_try_again_does_not(tmp_path: Path) -> None:
    tried = asyncio.Event()

    def hangs_up(message: Outbound) -> None:
        tried.set()
        raise ChannelError("hung up")

    outlet = TestOutlet(fail=hangs_up)
    async with running(tmp_path, answers=False) as desk:
        first = await _taken(desk)
        delivery = Delivery(desk.runtime.inbox, desk.runtime.outbox, RetrySchedule(first_pause=1.0))
        sending = asyncio.create_task(delivery.deliver(first, outlet, "fine", ("done", None)))
        async with asyncio.timeout(30):
            await tried.wait()
        assert await desk.runtime.inbox.claim(first.id)
        outlet.fail = lambda message: None
        async with asyncio.timeout(30):
            await sending
        assert outlet.texts == []


async def test_an_answer_does_not_wait_for_a_sign_that_hangs(tmp_path: Path) -> None:
    class Hanging(TestOutlet):
        async def typing(self, conversation: str) -> None:
            self.signs += 1
            await asyncio.sleep(3600)

    async def slow(messages: Any) -> str:
        await asyncio.sleep(0.5)
        return "fine"

    async with running(tmp_path, slow, outlet=Hanging(Abilities(typing=5.0))) as desk:
        await desk.say("hello")
        await desk.settle(60)
        assert desk.outlet.signs == 1 and desk.outlet.texts == ["fine"]


async def _taken(desk: Running) -> ClaimedMessage:
    await desk.say("hello")
    (id_,) = await desk.runtime.inbox.request_stop("test", "", "c1")
    claimed = await desk.runtime.inbox.claim(id_)
    assert claimed
    return claimed


def _help_says(monkeypatch: pytest.MonkeyPatch, *texts: str) -> None:
    """Let a command say something else each time."""
    left = list(texts)

    async def says(self: ChatCommands, command: object, claimed: object) -> CommandResult:
        return CommandResult(left.pop(0))

    monkeypatch.setattr(ChatCommands, "run", says)


def _blocked_at(text: str) -> Callable[[Outbound], None]:
    def fail(message: Outbound) -> None:
        if message.text == text:
            raise ChannelError("blocked", permanent=True)

    return fail


def _hangs_up_at(text: str) -> Callable[[Outbound], None]:
    def fail(message: Outbound) -> None:
        if message.text == text:
            raise ChannelError("hung up")

    return fail
