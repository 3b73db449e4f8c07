"""Two tenants on one database: neither takes, answers nor sees what is the other's."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from qwendesk.desk.access import AccessPolicy
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.inbox import Access, InboundEvent, OutboundMessage, RateBucket
from qwendesk.messages import Inbound
from tests import postgres_server
from tests.desk.parts import Running, running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path / 'both.db'}"
        return
    with postgres_server.database(empty=True) as url:
        yield url


async def tenants(desk: Running, *tables: type) -> set[str]:
    """Return whose rows there are."""
    async with desk.desk.memory.database.read() as connection:  # type: ignore[attr-defined]
        return {row for table in tables for row in (await connection.execute(select(table.tenant_id))).scalars()}  # type: ignore[attr-defined]


async def test_each_tenant_takes_and_answers_its_own(tmp_path: Path, url: str) -> None:
    async with running(tmp_path, url=url, tenant="acme", answers=False) as acme:
        assert (await acme.say("hello acme", event="e1")).outcome == "accepted"
        assert (await acme.say("hello acme", event="e1")).outcome == "duplicate"
        assert await tenants(acme, InboundEvent, Conversation, RateBucket) == {"acme"}
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}", url=url) as other:
        assert await other.runtime.acceptance.open_count() == 0
        assert (await other.say("hello other", event="e1")).sequence == 1, (
            "another tenant's message of that name is another"
        )
        await other.settle()
        await other.runtime.maintenance.once()
        assert other.outlet.texts == ["re hello other"]
        assert await other.runtime.inbox.request_stop("test", "", "c1") == []
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}", url=url, tenant="acme") as acme:
        await acme.settle()
        assert acme.outlet.texts == ["re hello acme"]
    async with running(tmp_path, url=url, tenant="acme", answers=False) as acme:
        await acme.say("hello again", event="e2")
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}", url=url) as other:
        await other.say("hello again", event="e2")
        await other.settle()
        assert other.outlet.texts == ["re hello again"], "the other tenant's queue is left alone"
    async with running(tmp_path, lambda messages: f"re {messages[-1].text}", url=url, tenant="acme") as acme:
        await acme.settle()
        assert acme.outlet.texts == ["re hello again"]
        assert await tenants(acme, InboundEvent, OutboundMessage, Conversation) == {"acme", "default"}
        (person,) = await acme.desk.memory.people.listed()
        await acme.desk.memory.people.forget(person.id)
        assert await tenants(acme, InboundEvent, OutboundMessage, Conversation) == {"default"}


async def test_who_may_talk_is_so_for_each_tenant(tmp_path: Path, url: str) -> None:
    closed = {"test": AccessPolicy("pairing")}
    stranger = Inbound("hello", "c1", channel="test", person="ann")
    async with running(tmp_path, url=url, tenant="acme", answers=False, access_policies=closed) as acme:
        assert (await acme.runtime.accept(stranger)).outcome == "refused"
        (guest,) = await acme.runtime.access.requests()
        assert await acme.runtime.access.decide(guest.code or "", "allowed")
    async with running(tmp_path, url=url, answers=False, access_policies=closed) as other:
        assert await other.runtime.access.requests() == []
        assert (await other.runtime.accept(stranger)).outcome == "refused"
        assert len(await other.runtime.access.requests("waiting")) == 1
        assert await tenants(other, Access) == {"acme", "default"}
    async with running(tmp_path, url=url, tenant="acme", answers=False, access_policies=closed) as acme:
        assert (await acme.runtime.accept(stranger)).outcome == "accepted"
