"""The live feed: every open page is told of changes, soon, without a reader of its own."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import insert
from uuid_utils import uuid7

from qwendesk.desk.operators.accounts import OperatorAccounts
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.tickets.queries import TicketFilter
from qwendesk.desk.tickets.records import CUSTOMER, Actor
from qwendesk.desk.workspace.feed import FeedBatch, FeedListener, TicketChange, TicketFeed
from qwendesk.desk.workspace.lists import matches
from qwendesk.memory.tables.tickets import TicketEvent
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.server.pages.all_pages import build_pages
from qwendesk.server.pages.inbox.inbox import Inbox
from qwendesk.server.web import WebServer, build_app
from tests.desk.tickets.conftest import Counter
from tests.server.browser import add, operators_in, well
from tests.server.inbox.conftest import LogIn

RULE = Actor.rule("test")


async def told(listener: FeedListener, ticket: str) -> FeedBatch:
    """Wait until a page is told of a ticket."""
    async with asyncio.timeout(10):
        while True:
            batch = await listener.next(10)
            if ticket in batch.changes:
                return batch


async def test_pages_of_several_processes_are_told_of_each_change(counter: Counter, inbox: Inbox) -> None:
    ann = await counter.operator("ann")
    other = TicketFeed(counter.memory.scope)
    ticket = (await counter.write("hello")).ticket
    try:
        async with inbox.feed.listen(ann.operator_id or "") as here, other.listen(ann.operator_id or "") as there:
            await counter.tickets.update(ticket.id, RULE, priority="urgent")
            for listener in (here, there):
                change = (await told(listener, ticket.id)).changes[ticket.id]
                assert change.ticket and change.ticket.priority == "urgent" and change.snippet == "hello"
    finally:
        await other.aclose()


async def test_changes_of_one_ticket_wait_as_one(counter: Counter, inbox: Inbox) -> None:
    ann = await counter.operator("ann")
    ticket = (await counter.write("hello")).ticket
    last = (await counter.write("hello", "c2")).ticket
    async with inbox.feed.listen(ann.operator_id or "") as fast, inbox.feed.listen(ann.operator_id or "") as slow:
        for number in range(30):
            await counter.tickets.update(ticket.id, RULE, subject=f"subject {number}")
        await counter.tickets.update(last.id, RULE, priority="high")
        await told(fast, last.id)
        batch = await slow.next(5)
        assert set(batch.changes) == {ticket.id, last.id} and not batch.is_overrun
        change = batch.changes[ticket.id]
        assert change.ticket and change.ticket.subject == "subject 29" and len(change.events) <= 5


def test_a_page_that_is_far_behind_loads_its_list_again() -> None:
    listener = FeedListener("ann")
    for number in range(500):
        listener.tell([(f"t{number}", TicketChange(None, "", ()))])
    batch = asyncio.run(listener.next(0))
    assert batch.is_overrun and len(batch.changes) <= 200


async def test_a_page_that_reconnects_is_told_what_it_missed(counter: Counter, inbox: Inbox) -> None:
    ann = await counter.operator("ann")
    ticket = (await counter.write("hello")).ticket
    before = datetime.now(UTC)
    await counter.tickets.update(ticket.id, RULE, priority="high")
    async with inbox.feed.listen(ann.operator_id or "", since=before) as listener:
        batch = await told(listener, ticket.id)
        assert [event.kind for event in batch.changes[ticket.id].events] == ["updated"]
    async with inbox.feed.listen(ann.operator_id or "", since=before - timedelta(hours=1)) as listener:
        assert (await listener.next(5)).is_overrun


async def test_counts_colleagues_and_deletions_are_told(counter: Counter, inbox: Inbox) -> None:
    ann, bo = await counter.operator("ann"), await counter.operator("bo")
    ticket = (await counter.write("hello")).ticket
    async with inbox.feed.listen(ann.operator_id or "", ticket.id) as listener, asyncio.timeout(20):
        await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
        counts: Any = None
        while counts is None or counts["waiting"] != 1:
            counts = (await listener.next(10)).counts or counts
        await counter.queries.report_presence(ticket.id, bo.operator_id or "", is_typing=True)
        colleagues: Any = None
        while not colleagues:
            colleagues = (await listener.next(10)).colleagues
        assert [(one.name, one.is_typing) for one in colleagues] == [("Bo", True)]
        person = await counter.memory.people.find("ann", channel="test")
        assert person
        await counter.memory.people.forget(person.id)
        is_deleted = False
        while not is_deleted:
            is_deleted = (await listener.next(10)).is_deleted


async def test_many_messages_in_a_second_delay_no_later_one(counter: Counter, inbox: Inbox) -> None:
    ann = await counter.operator("ann")
    ticket = (await counter.write("hello")).ticket
    async with inbox.feed.listen(ann.operator_id or "") as listener:
        row = {"ticket_id": ticket.id, "kind": "message", "actor": "customer", "at": datetime.now(UTC)}
        rows = [{**row, "id": str(uuid7())} for _ in range(1_200)]
        async with counter.memory.scope.write() as connection:
            await connection.execute(insert(TicketEvent), rows)
        await told(listener, ticket.id)
        last = (await counter.write("after them", "c2")).ticket
        begun = time.monotonic()
        await told(listener, last.id)
        assert time.monotonic() - begun < 4, "events that were told before fill what is read"


@asynccontextmanager
async def serving(
    operators: Operators, inbox: Inbox, *, grace_seconds: float = 0.2
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the pages; yield a client with an operator's session."""
    pages = build_pages(operators, inbox=inbox, grace_seconds=grace_seconds)
    app = build_app(well, desk_routes=pages.routes())
    server = WebServer(app, "127.0.0.1", 0)
    account = await add(operators, "ann", "admin")
    async with AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        stack.push_async_callback(inbox.feed.aclose)
        async with inbox.memory.scope.write() as connection:
            token = await operators.sessions.begin(connection, account.id, needs_totp=False)
        cookies = {"qwendesk_operator": token}
        yield await stack.enter_async_context(httpx.AsyncClient(base_url=server.url, cookies=cookies, timeout=20))


async def wait_for_presence(operators: Operators, *, is_online: bool) -> None:
    async with asyncio.timeout(30):
        while (await operators.accounts.named("ann")).is_online() != is_online:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_an_operator_whose_last_page_is_closed_has_left(operators: Operators, inbox: Inbox) -> None:
    async with serving(operators, inbox) as client:
        async with client.stream("GET", "/desk/stream"), client.stream("GET", "/desk/stream") as second:
            await anext(second.aiter_lines())
            await wait_for_presence(operators, is_online=True)
        await wait_for_presence(operators, is_online=False)


Ping = Callable[[], Awaitable[None]]


async def ping_of(client: httpx.AsyncClient, page: str) -> Ping:
    """Open a page; return what tells that it is open, as the page does by itself."""
    shown = (await client.get(page)).text
    token = re.findall(r'name="csrf" value="([^"]*)"', shown)[0]
    address = re.findall(r'hx-post="(/desk/presence[^"]*)"', shown)[0]

    async def ping() -> None:
        assert (await client.post(address, headers={"X-CSRF-Token": token})).status_code == 204

    return ping


@pytest.mark.parametrize("page", ["/desk/tickets", "/desk/account"])
async def test_an_open_page_tells_that_its_operator_is_there(operators: Operators, inbox: Inbox, page: str) -> None:
    async with serving(operators, inbox) as client:
        ping = await ping_of(client, page)
        ann = await operators.accounts.named("ann")
        await operators.accounts.leave(ann.id, datetime.now(UTC))
        await wait_for_presence(operators, is_online=False)
        await ping()
        await wait_for_presence(operators, is_online=True)
        closed = datetime.now(UTC)  # another page, just before this one tells so
        await ping()
        await operators.accounts.leave(ann.id, closed)
        assert (await operators.accounts.named("ann")).is_online()


class Reloaded(TicketFeed):
    """Does not know of a page when it is asked first, as if that page opened after the one before it was closed."""

    answers: tuple[bool, ...] = ()

    def has_page_of(self, operator_id: str) -> bool:
        self.answers += (bool(self.answers) and super().has_page_of(operator_id),)
        return self.answers[-1]


class Left(OperatorAccounts):
    """Tells when it was noted that an operator has gone."""

    def __init__(self, database: TenantDatabase) -> None:
        super().__init__(database)
        self.has_left = asyncio.Event()

    async def leave(self, id_: str, at: datetime, *, unless_page_is_open: bool = False) -> None:
        await super().leave(id_, at, unless_page_is_open=unless_page_is_open)
        self.has_left.set()


async def test_who_loads_the_page_again_stays(operators: Operators, inbox: Inbox) -> None:
    feed = Reloaded(inbox.memory.scope)
    async with serving(operators, replace(inbox, feed=feed)) as client, client.stream("GET", "/desk/stream") as again:
        lines = again.aiter_lines()  # kept, because its end would close the page
        await anext(lines)
        async with client.stream("GET", "/desk/stream") as first:
            await anext(first.aiter_lines())
        async with asyncio.timeout(30):
            while len(feed.answers) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert feed.answers == (False, True)
        assert (await operators.accounts.named("ann")).is_online()


async def test_an_operator_with_another_page_open_in_any_process_stays(
    counter: Counter, operators: Operators, inbox: Inbox
) -> None:
    other = Left(counter.memory.scope)
    elsewhere = operators_in(counter.memory)
    elsewhere.accounts = other
    feed = TicketFeed(counter.memory.scope)
    app = build_app(well, desk_routes=build_pages(elsewhere, inbox=replace(inbox, feed=feed), grace_seconds=0).routes())
    server = WebServer(app, "127.0.0.1", 0)
    async with serving(operators, inbox) as here, AsyncExitStack() as stack:
        await server.start()
        stack.push_async_callback(server.stop)
        stack.push_async_callback(feed.aclose)
        there = httpx.AsyncClient(base_url=server.url, cookies=here.cookies, timeout=20)
        await stack.enter_async_context(there)
        await (await ping_of(here, "/desk/account"))()
        async with there.stream("GET", "/desk/stream") as stream:
            await anext(stream.aiter_lines())
        async with asyncio.timeout(30):
            await other.has_left.wait()
        assert (await operators.accounts.named("ann")).is_online()


async def test_a_page_that_was_closed_long_ago_keeps_nobody_there(operators: Operators) -> None:
    ann = await add(operators, "ann", "admin")
    now = datetime.now(UTC)
    await operators.accounts.touch(ann.id, by_open_page=True)
    await operators.accounts.leave(ann.id, now + timedelta(seconds=90), unless_page_is_open=True)
    assert (await operators.accounts.named("ann")).is_online()
    await operators.accounts.leave(ann.id, now + timedelta(minutes=3), unless_page_is_open=True)
    assert not (await operators.accounts.named("ann")).is_online(now + timedelta(minutes=3))
    await operators.accounts.touch(ann.id)
    await operators.accounts.leave(ann.id, datetime.now(UTC), unless_page_is_open=True)
    assert not (await operators.accounts.named("ann")).is_online()


async def test_logging_out_is_leaving(log_in: LogIn, operators: Operators) -> None:
    ann = await log_in("ann")
    assert (await operators.accounts.named("ann")).is_online()
    await ann.submit("/desk/tickets", "/desk/logout")
    assert not (await operators.accounts.named("ann")).is_online()


async def messages(response: httpx.Response) -> AsyncIterator[tuple[str, Any]]:
    """Yield the id and the content of each message of a stream."""
    id_ = ""
    async for line in response.aiter_lines():
        if line.startswith("id: "):
            id_ = line[4:]
        elif line.startswith("data: "):
            yield id_, json.loads(line[6:])


async def next_row(stream: AsyncIterator[tuple[str, Any]], number: int) -> tuple[str, Any]:
    async for id_, message in stream:
        for row in message.get("rows", ()):
            if row["number"] == number:
                return id_, row
    pytest.fail("the stream has ended")


async def test_a_row_that_changes_keeps_the_marks_of_its_reader(
    counter: Counter, operators: Operators, inbox: Inbox
) -> None:
    ticket = (await counter.write("hello")).ticket
    async with serving(operators, inbox) as client:
        (account,) = await operators.accounts.all()
        async with client.stream("GET", "/desk/stream?view=all") as response:
            stream = messages(response)
            await counter.tickets.update(ticket.id, RULE, add_tags=["a"])
            _, row = await next_row(stream, ticket.number)
            assert "Unread" in row["html"]
            await inbox.lists.mark_read([ticket.id], account.id)
            await counter.tickets.update(ticket.id, RULE, add_tags=["b"])
            _, row = await next_row(stream, ticket.number)
            assert "Unread" not in row["html"] and "mentions you" not in row["html"]
            await counter.tickets.note(ticket.id, await counter.operator("bo"), "@ann look", [account.id])
            _, row = await next_row(stream, ticket.number)
            assert "mentions you" in row["html"]


async def test_a_stream_ends_with_its_session(
    counter: Counter, operators: Operators, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwendesk.server.pages.inbox.stream.CHECK_SECONDS", 0.1)
    async with serving(operators, inbox) as client:
        (account,) = await operators.accounts.all()
        async with client.stream("GET", "/desk/stream?view=all") as response, asyncio.timeout(8):
            lines = response.aiter_lines()
            assert await anext(lines) == "retry: 2000"
            await operators.accounts.disable(account.id, AuditActor(), allow_no_admin=True)
            assert "event: closed" in [line async for line in lines]


async def test_a_browser_gets_rows_that_its_list_shows(counter: Counter, operators: Operators, inbox: Inbox) -> None:
    ticket = (await counter.write("<b>hello</b>", display_name="Ann & Co")).ticket
    async with serving(operators, inbox) as client:
        assert (await client.get("/desk/stream", headers={"Cookie": ""})).status_code == 303
        async with client.stream("GET", "/desk/stream?view=waiting") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            stream = messages(response)
            await counter.tickets.hand_over(ticket.id, CUSTOMER, "asked")
            first, row = await next_row(stream, ticket.number)
            assert row["matches"] and row["notice"] == "is assigned to you"
            assert "&lt;b&gt;hello" in row["html"] and "Ann &amp; Co" in row["html"] and "hx-" not in row["html"]
            await counter.tickets.hand_back(ticket.id, RULE)
            last, row = await next_row(stream, ticket.number)
            assert row["matches"] is False and last > first
        async with client.stream("GET", "/desk/stream?view=all", headers={"Last-Event-ID": first}) as response:
            _, row = await next_row(messages(response), ticket.number)
            assert row["matches"] and "bot answers" in row["html"]
        for junk in ("x", "0" * 36, "-1"):
            async with client.stream("GET", "/desk/stream?ticket=1", headers={"Last-Event-ID": junk}) as response:
                assert response.status_code == 200
        assert (await client.get("/desk/stream?ticket=999")).status_code == 400


async def test_a_row_fits_a_list_of_approvals_only_with_its_other_filters(counter: Counter, inbox: Inbox) -> None:
    ticket = await counter.ask_approval("refund it")
    (row,) = await inbox.lists.with_marks([await counter.queries.get(ticket.id)], "nobody")
    approvals = TicketFilter(needs_approval=True)
    assert matches(approvals, row) is True
    assert matches(replace(approvals, channel="elsewhere"), row) is False
    assert matches(approvals, replace(row, approval="")) is False
