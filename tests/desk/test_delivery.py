"""Delivery: again where it may help, not where it is vain; what is given up is listed and can be tried again."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import pytest
from dbos import DBOSClient

from qwendesk.desk.delivery.deliver import RetrySchedule
from qwendesk.desk.maintenance import PeriodicMaintenance
from qwendesk.errors import ChannelError, ConfigError, EngineError, EngineUnavailable
from qwendesk.messages import Outbound
from tests.desk.parts import TestOutlet, running

THREE = "one\n\n\ntwo\n\n\nthree"


class Failing(TestOutlet):
    """Fails as told, one error for each send until there are none left."""

    def __init__(self, *errors: Exception | None) -> None:
        super().__init__()
        self._errors = list(errors)
        self.fail = self._fail

    def _fail(self, message: Outbound) -> None:
        if self._errors and (error := self._errors.pop(0)):
            raise error


async def test_a_long_answer_comes_in_its_parts_each_once(tmp_path: Path) -> None:
    outlet = Failing(None, ChannelError("busy"), ValueError("a bug"))
    async with running(tmp_path, lambda messages: THREE, outlet=outlet) as desk:
        await desk.say("tell me", reply_to="q1")
        await desk.settle()
        assert outlet.texts == ["one", "two", "three"]
        assert [message.reply_to for message in outlet.sent] == ["q1", None, None]
        assert len({message.key for message in outlet.sent}) == 3


async def test_the_platforms_own_time_is_waited_for(tmp_path: Path) -> None:
    outlet = Failing(ChannelError("slow down", retry_after=1.0))
    async with running(tmp_path, lambda messages: "fine", outlet=outlet) as desk:
        begun = monotonic()
        await desk.say("hello")
        await desk.settle()
        assert outlet.texts == ["fine"] and monotonic() - begun >= 1.0


async def test_a_vain_delivery_is_given_up_and_the_conversation_goes_on(tmp_path: Path) -> None:
    outlet = Failing(None, ChannelError("The person has blocked the bot.", permanent=True))
    async with running(tmp_path, lambda messages: THREE, outlet=outlet) as desk:
        await desk.say("tell me")
        await desk.say("/think")
        await desk.settle()
        (ticket,) = await desk.runtime.inbox_maintenance.failed_messages()
        assert (ticket.status, ticket.text) == ("dead", "tell me") and "blocked" in ticket.error
        assert outlet.texts == ["one", "I think before I answer."]
        assert await desk.runtime.inbox_maintenance.retry(ticket.id, desk.runtime.queue.enqueue)
        await desk.settle()
        assert outlet.texts[2:] == ["two", "three"], "what had claimed is not sent again"
        assert await desk.runtime.inbox_maintenance.failed_messages() == []


async def test_a_delivery_that_never_goes_well_is_given_up_in_time(tmp_path: Path) -> None:
    outlet = Failing(*[ChannelError("hung up")] * 1000)
    async with running(
        tmp_path, lambda m: "fine", outlet=outlet, schedule=RetrySchedule(0.02, 0.1, give_up_after=0.5)
    ) as desk:
        await desk.say("hello")
        await desk.settle()
        (ticket,) = await desk.runtime.inbox_maintenance.failed_messages()
        assert "hung up" in ticket.error


@pytest.mark.parametrize(
    ("error", "words"), [(EngineError("no idea"), "went wrong"), (EngineUnavailable("not there"), "cannot be reached")]
)
async def test_a_failed_turn_is_said_and_listed_and_the_next_one_is_answered(
    tmp_path: Path, error: Exception, words: str
) -> None:
    async with running(tmp_path, [error] * (3 if "reached" in words else 1) + ["fine"]) as desk:
        await desk.say("hello")
        await desk.say("hello again")
        await desk.settle(30)
        assert words in desk.outlet.texts[0] and desk.outlet.texts[1] == "fine"
        (ticket,) = await desk.runtime.inbox_maintenance.failed_messages()
        assert ticket.status == "failed" and str(error) in ticket.error


async def test_a_restarted_desk_answers_what_it_had_accepted(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        await desk.say("hello")
    async with running(tmp_path, lambda messages: "at last") as desk:
        await desk.settle()
        assert desk.outlet.texts == ["at last"]


async def test_what_waits_for_its_next_try_is_not_waited_for_at_the_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outlet = Failing(ChannelError("Try again later.", retry_after=600))
    async with asyncio.timeout(60), running(tmp_path, lambda messages: "fine", outlet=outlet, stop_timeout=600) as desk:
        await desk.say("my secret")
        while "Try again later." not in caplog.text:  # noqa: ASYNC110 - a delivery tells nobody that it waits
            await asyncio.sleep(0.02)
    assert "my secret" not in caplog.text
    async with running(tmp_path, lambda messages: "not asked again") as desk:
        await desk.settle()
        assert desk.outlet.texts == ["fine"]


async def test_an_answer_that_was_stored_is_not_asked_for_again(tmp_path: Path) -> None:
    async with running(tmp_path, ["once"], stop_timeout=0.5) as desk:
        await desk.say("hello")
        await desk.settle()
        (sent,) = await desk.stored_parts()
        id_ = sent.key.partition(":")[0]
        async with desk.desk.memory.database.write() as connection:  # type: ignore[attr-defined]
            await connection.exec_driver_sql("UPDATE inbound_event SET status = 'dead'")
            await connection.exec_driver_sql("DELETE FROM outbound")
        assert await desk.runtime.inbox_maintenance.retry(id_, desk.runtime.queue.enqueue)
        await desk.settle()
        assert desk.outlet.texts == ["once", "once"] and len(desk.engine.calls) == 1


async def test_what_the_queue_has_lost_is_put_back(tmp_path: Path) -> None:
    async with running(tmp_path, lambda messages: "found", answers=False) as desk:
        await desk.say("hello")
        async with desk.desk.memory.database.write() as connection:  # type: ignore[attr-defined]
            await connection.exec_driver_sql("UPDATE inbound_event SET received_at = '2020-01-01 00:00:00'")
        file = desk.runtime.database.whole_database.file
        client = DBOSClient(system_database_url=f"sqlite:///{file}")
        await client.cancel_workflows_async([status.workflow_id for status in await client.list_workflows_async()])
        client.destroy()
        await PeriodicMaintenance(desk.runtime.inbox_maintenance, desk.runtime.queue, desk.runtime.access).once()
    async with running(tmp_path, lambda messages: "found") as desk:
        await desk.settle()
        assert desk.outlet.texts == ["found"]


async def test_upkeep_keeps_up_and_says_nothing_of_what_ended_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(tmp_path, answers=False) as desk:
        queue = desk.runtime.queue
        for status in ("done", "stopped", "failed", "dead", "queued"):
            await desk.say("hello", f"c{status}")
        async with desk.desk.memory.database.write() as connection:  # type: ignore[attr-defined]
            await connection.exec_driver_sql(
                "UPDATE inbound_event SET status = (SELECT substr(external_id, 2) FROM conversation "
                "WHERE conversation.id = conversation_id), received_at = '2020-01-01 00:00:00'"
            )
            await connection.exec_driver_sql(
                "UPDATE inbound_event SET finished_at = '2020-01-01 00:00:00' WHERE status <> 'queued'"
            )
            plan = await connection.exec_driver_sql(
                "EXPLAIN QUERY PLAN SELECT id FROM inbound_event WHERE finished_at < '2021-01-01' LIMIT 200"
            )
            assert "ix_inbound_event_finished" in str(plan.all())
        # one that the queue has ended with just now, and one that it has in hand
        (waiting,) = await desk.runtime.inbox_maintenance.open_since(datetime.now(UTC))
        assert await queue.lost([waiting, "another"]) == ["another"]

        async def ended(ids: Sequence[str]) -> list[str]:
            return ["another"]

        monkeypatch.setattr(queue, "lost", ended)
        runtime = desk.runtime
        await PeriodicMaintenance(runtime.inbox_maintenance, queue, runtime.access, batch_rows=2).once()
        async with desk.desk.memory.database.read() as connection:  # type: ignore[attr-defined]
            left = await connection.exec_driver_sql("SELECT status FROM inbound_event")
            assert [row[0] for row in left] == ["queued"]
        assert "queue had lost" not in caplog.text


async def test_two_processes_may_not_answer_from_one_file(tmp_path: Path) -> None:
    async with running(tmp_path):
        with pytest.raises(ConfigError, match="already"):
            async with running(tmp_path):
                pass


async def test_a_second_run_takes_the_right_to_send_from_the_first(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        await desk.say("hello")
        inbox, outbox = desk.runtime.inbox, desk.runtime.outbox
        (id_,) = await inbox.request_stop("test", "", "c1")
        first = await inbox.claim(id_)
        second = await inbox.claim(id_)
        assert first and second and (first.run, second.run) == (1, 2)
        assert await outbox.claim(first, 0, "from the dead") is None
        assert await outbox.claim(second, 0, "from the living")
        assert not await inbox.complete(id_, first.run, "done")
        assert await inbox.complete(id_, second.run, "done")
        assert await inbox.claim(id_) is None
