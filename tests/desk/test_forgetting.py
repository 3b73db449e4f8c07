"""Forgetting on the durable desk: the wish is answered once, what waits is not, and nothing stays."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select

from qwendesk.desk.translations import say
from qwendesk.errors import EngineUnavailable
from qwendesk.memory.records import NewFact
from qwendesk.memory.tables.conversations import Base
from qwendesk.memory.tables.inbox import RateBucket
from qwendesk.messages import Inbound
from tests.desk.parts import Running, running


class Gate:
    """A script whose answers to slow questions wait until the gate is opened."""

    def __init__(self) -> None:
        self.is_open = asyncio.Event()
        self.reached = asyncio.Event()

    async def __call__(self, messages: Any) -> str:
        if "slow" in messages[-1].text:
            self.reached.set()
            await self.is_open.wait()
        return f"re {messages[-1].text}"


async def rows(desk: Running) -> str:
    """Return all rows of the desk's tables, but the audit, as a text."""
    tables = [table for table in Base.metadata.sorted_tables if table.name != "audit"]
    async with desk.desk.memory.database.read() as connection:  # type: ignore[attr-defined]
        return repr([(table.name, row) for table in tables for row in await connection.execute(select(table))])


async def idle(desk: Running) -> None:
    """Wait until no message is in hand."""
    async with asyncio.timeout(30):
        while desk.runtime.queue.running():  # noqa: ASYNC110 - the queue tells nobody when it is idle
            await asyncio.sleep(0.02)


async def failed(desk: Running) -> None:
    """Wait until it is stored that a turn has failed."""
    async with asyncio.timeout(30):
        turn = None
        while turn is None or turn.status != "failed":
            await asyncio.sleep(0.01)
            turn = await desk.desk.last_turn("c1", channel="test")


async def bob(desk: Running, text: str) -> None:
    await desk.runtime.accept(Inbound(text, "c1", channel="test", person="bob"))


async def test_without_a_confirmation_nothing_is_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path, Gate()) as desk:
        for text in ("hello", "/forget me", "/forget me please"):
            await desk.say(text, locale="de")
        await desk.settle()
        asked = say("forget_me_ask", "de", command="/forget me ja")
        assert desk.outlet.texts == ["re hello", asked, asked]
        assert "'hello'" in await rows(desk)


async def test_the_confirmation_is_delivered_once_and_nothing_stays(tmp_path: Path) -> None:
    async with running(tmp_path, Gate()) as desk:
        await desk.say("hello", conversation="c-ann", locale="de")
        await desk.say("/memory", conversation="c-ann2")
        await desk.say("/Forget me JA.", conversation="c-ann", locale="de")
        await desk.settle()
        gone = say("forgot_you", "de", messages=2, facts=0)
        assert sorted(desk.outlet.texts) == sorted(["re hello", say("memory_empty"), gone])
        left = await rows(desk)
        assert "ann" not in left and "hello" not in left and "orget" not in left, left
        await desk.say("hello again", conversation="c-ann")
        await desk.settle()
        assert desk.outlet.texts[-1] == "re hello again"


async def test_what_waits_is_not_answered_and_others_are(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as desk:
        await desk.say("a slow one")
        await gate.reached.wait()
        await desk.say("/forget me yes")
        await desk.say("never answered")
        await bob(desk, "hello from bob")
        gate.is_open.set()
        await desk.settle()
        gone = say("forgot_you", messages=2, facts=0)
        assert desk.outlet.texts == ["re a slow one", gone, "re hello from bob"]
        left = await rows(desk)
        assert "'ann'" not in left and "slow" not in left and "never" not in left
        assert left.count("'hello from bob'") >= 2, "the group's conversation stays"


async def test_an_answer_that_is_being_given_elsewhere_ends_unheard(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as desk:
        await desk.say("a slow one", conversation="another")
        await gate.reached.wait()
        await desk.say("/forget me yes")
        await desk.settle()
        await idle(desk)
        assert desk.outlet.texts == [say("forgot_you", messages=1, facts=0)]
        left = await rows(desk)
        assert "'ann'" not in left and "slow" not in left and "another" not in left


async def test_an_operator_forgets_somebody_who_waits(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, gate) as desk:
        await desk.say("a slow one")
        await gate.reached.wait()
        await desk.say("never answered")
        people = desk.desk.memory.people
        (ann,) = await people.named("test:ann")
        assert (await people.forget(ann.id)).counts["inbound_event"] == 2
        await idle(desk)
        assert desk.outlet.texts == []
        assert "'ann'" not in await rows(desk)


async def test_a_list_is_forgotten_from_by_number_in_the_persons_language(tmp_path: Path) -> None:
    async with running(tmp_path, Gate()) as desk:
        facts, people = desk.desk.memory.facts, desk.desk.memory.people
        ann = (await people.get_or_create("ann", channel="test")).id
        await facts.learn(ann, [NewFact("heim", "Zürich"), NewFact("büro", "Zürich"), NewFact("tier", "Katze")])
        for text in ("/lang de", "/forget zurich", "/forget 2", "/forget 2", "/memory"):
            await desk.say(text)
        await desk.settle()
        _, which, gone, again, left = desk.outlet.texts
        assert which.startswith(say("forget_which", "de")) and "1. **heim**" in which and "2. **büro**" in which
        assert gone == "Vergessen: **büro**: Zürich" and again == say("forget_gone", "de")
        assert "1. **heim**" in left and "2. **tier**" in left and "büro" not in left


async def test_limits_name_nobody_and_are_forgotten_where_they_no_longer_count(tmp_path: Path) -> None:
    async with running(tmp_path, Gate()) as desk:
        await desk.say("/help")
        await desk.settle()
        async with desk.desk.memory.database.read() as connection:  # type: ignore[attr-defined]
            keys = list((await connection.execute(select(RateBucket.key))).scalars())
        assert len(keys) == 1 and "ann" not in keys[0]
        await desk.runtime.inbox_maintenance.prune_rate_limits(datetime.now(UTC) + timedelta(seconds=1))
        assert keys[0] not in await rows(desk)


async def test_a_turn_that_begins_too_late_stores_nothing(tmp_path: Path) -> None:
    tried = []

    async def script(messages: Any) -> str:
        tried.append(messages)
        if len(tried) == 1:
            raise EngineUnavailable("The model is starting.")
        return "too late"

    async with running(tmp_path, script) as desk:
        await desk.say("a secret")
        await failed(desk)
        people = desk.desk.memory.people
        (ann,) = await people.named("test:ann")
        await people.forget(ann.id)
        await idle(desk)
        assert desk.outlet.texts == [] and len(tried) == 1
        left = await rows(desk)
        assert "'ann'" not in left and "secret" not in left
