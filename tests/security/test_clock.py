"""A clock that is set back opens no limit, closes none for good, and lets no code hold for longer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from qwendesk.channels.web.sessions import FrameQueue, VisitorSession, shown_frame
from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.memory.tables.facts import LinkCode
from qwendesk.memory.tables.inbox import Access, InboundEvent, RateBucket
from qwendesk.safe_fetch import parse_retry_after
from tests.desk.parts import Running, running

Shift = Callable[[float], None]


@dataclass
class Clock:
    """The system's clock as the code under test reads it."""

    ahead: float = 0.0

    def time(self) -> float:
        return datetime.now(UTC).timestamp() + self.ahead


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("qwendesk.steady_clock.time", made.time)
    return made


@pytest.mark.parametrize("back", [-3600.0, -86400.0 * 365, 86400.0 * 365])
async def test_a_restart_with_another_time_leaves_limits_as_they_were(
    tmp_path: Path, clock: Clock, back: float
) -> None:
    limits = AdmissionLimits(per_hour=3)
    async with running(tmp_path, limits=limits, answers=False) as desk:
        assert [(await desk.say("hello")).outcome for _ in range(4)] == ["accepted"] * 3 + ["refused"]
    clock.ahead = back
    async with running(tmp_path, limits=limits, answers=False) as desk:
        again = [(await desk.say("hello")).outcome for _ in range(4)]
        # with a time that is later the bucket may have refilled, but never beyond what it holds
        assert again == (["refused"] * 4 if back < 0 else ["accepted"] * 3 + ["refused"])
        assert min(await _tokens(desk)) >= 0 and max(await _tokens(desk)) <= 3


async def test_a_bucket_of_a_later_clock_refills_from_now_on(tmp_path: Path, clock: Clock) -> None:
    clock.ahead = 86400.0 * 30
    limits = AdmissionLimits(per_hour=3)
    async with running(tmp_path, limits=limits, answers=False) as desk:
        for _ in range(4):
            await desk.say("hello")
    clock.ahead = 0
    async with running(tmp_path, limits=limits, answers=False) as desk:
        await desk.runtime.inbox_maintenance.prune_rate_limits(datetime.now(UTC) - timedelta(days=1))
    clock.ahead = 1300.0  # twenty minutes refill one of three an hour
    async with running(tmp_path, limits=limits, answers=False) as desk:
        assert (await desk.say("hello")).outcome == "accepted"
        assert (await desk.say("hello")).outcome == "refused"


async def test_a_message_of_a_later_clock_is_found_when_the_queue_has_lost_it(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        await desk.say("hello")
        later = {"received_at": datetime.now(UTC) + timedelta(days=30)}
        await _change(desk, update(InboundEvent).values(**later))
        assert len(await desk.runtime.inbox_maintenance.open_since(datetime.now(UTC) - timedelta(minutes=1))) == 1


async def test_a_pairing_code_of_a_later_clock_does_not_hold(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False, access_policies={"test": AccessPolicy()}) as desk:
        await desk.say("hello")
        (guest,) = await desk.runtime.access.requests()
        await _change(desk, update(Access).values(expires_at=datetime.now(UTC) + timedelta(days=30)))
        assert guest.code and await desk.runtime.access.decide(guest.code, "allowed") is None
        await desk.say("hello again")
        (renewed,) = await desk.runtime.access.requests()
        assert renewed.code and renewed.code != guest.code, "a new one takes its place"
        assert await desk.runtime.access.decide(renewed.code, "allowed")


async def test_a_link_code_of_a_later_clock_does_not_hold(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        people = desk.desk.memory.people
        code = await people.new_code("ann", channel="test")
        await _change(desk, update(LinkCode).values(expires_at=datetime.now(UTC) + timedelta(days=30)))
        assert await people.enter_code(code.code, "bob", channel="other") == "unknown"


async def test_a_page_that_saw_more_than_the_session_knows_is_shown_all() -> None:
    session, link = VisitorSession(), FrameQueue()
    session.show(shown_frame("a", "hello"))
    session.join(link, 2**53)
    (kept,) = session.frames
    assert (
        await link.next() == kept == {"type": "shown", "id": "a", "text": "hello", "seq": kept["seq"], "at": kept["at"]}
    )


@pytest.mark.parametrize("said", ["Wed, 21 Oct 2099 07:28:00 GMT", "99999999999"])
def test_a_platform_is_never_waited_for_longer_than_a_day(said: str) -> None:
    assert parse_retry_after(said) == 24 * 3600


async def _tokens(desk: Running) -> list[float]:
    async with desk.runtime.database.read() as connection:
        return list((await connection.execute(select(RateBucket.tokens))).scalars())


async def _change(desk: Running, statement: Any) -> None:
    async with desk.runtime.database.write() as connection:
        await connection.execute(statement, {})
