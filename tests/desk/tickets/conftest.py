"""A desk's tickets on both databases; messages are accepted and claimed as a worker does it, but not answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from qwendesk.desk.inbox.acceptance import InboxAcceptance
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository
from qwendesk.desk.tickets.flow import TicketFlow
from qwendesk.desk.tickets.placement import Placement
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor, TicketRules
from qwendesk.desk.tickets.service import Tickets
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.messages import Inbound
from tests import postgres_server
from tests.databases import put_migrated
from tests.desk.parts import Running, running
from tests.desk.tickets.operators import add_operator

Desks = Callable[..., AbstractAsyncContextManager[Running]]


@dataclass
class Counter:
    """The desk's counter: customers write, operators look."""

    memory: Memory
    tickets: Tickets
    queries: TicketQueries
    queued: list[tuple[str, int]]
    stopped: list[str] = field(default_factory=list)
    events: Iterator[int] = field(default_factory=count)

    @property
    def flow(self) -> TicketFlow:
        """What a worker does with the tickets of its messages."""
        return TicketFlow(self.memory.scope, self.tickets)

    async def operator(self, name: str, *, role: str = "operator", online: bool = True, **values: Any) -> Actor:
        return await add_operator(self.memory.scope, name, role=role, online=online, **values)

    async def accept(self, text: str, conversation: str = "c1", **more: Any) -> ClaimedMessage:
        """Accept and claim a customer's message."""
        event = f"e{next(self.events)}"
        inbound = Inbound(text, conversation, event=event, **{"channel": "test", "person": "ann", **more})
        inbox = InboxRepository(self.memory.scope)
        accepted = await InboxAcceptance(self.memory.scope).accept(inbound, (), lambda *row: None)
        claimed = await inbox.claim(accepted.id)
        assert claimed
        return claimed

    async def write(self, text: str, conversation: str = "c1", *, store: bool = True, **more: Any) -> Placement:
        """Accept a customer's message and put it into its ticket; ``store`` it as a turn does."""
        claimed = await self.accept(text, conversation, **more)
        placement = await self.flow.place(claimed)
        assert placement
        if store:
            await self.memory.turns.begin(claimed.inbound)
        await InboxRepository(self.memory.scope).complete(claimed.id, claimed.run, "done")
        return placement

    async def set(self, ticket: str, **values: Any) -> None:
        """Set columns of a ticket, such as times in the past."""
        async with self.memory.scope.write() as connection:
            await connection.execute(update(Ticket).where(Ticket.id == ticket).values(**values))

    async def kinds(self, ticket: str) -> list[str]:
        """Return the kinds of a ticket's events, oldest first."""
        return [event.kind for event in (await self.queries.thread(ticket)).events]


@pytest.fixture(params=["sqlite", "postgresql"])
async def counter(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Counter]:
    if request.param == "sqlite":
        file = tmp_path / "qwendesk.db"
        put_migrated(file)
        async for made in _made(f"sqlite+aiosqlite:///{file}"):
            yield made
    else:
        with postgres_server.database() as url:
            async for made in _made(url):
                yield made


async def _made(url: str) -> AsyncIterator[Counter]:
    memory = Memory(url)
    await memory.open()
    queued: list[tuple[str, int]] = []
    stopped: list[str] = []

    def enqueue(connection: Connection, id_: str, conversation: str, sequence: int) -> None:
        queued.append((id_, sequence))

    tickets = Tickets(memory.scope, enqueue, TicketRules(), stopped.extend)
    try:
        yield Counter(memory, tickets, TicketQueries(memory.scope), queued, stopped)
    finally:
        await memory.aclose()


@pytest.fixture(params=["sqlite", "postgresql"])
def desks(request: pytest.FixtureRequest, tmp_path: Path) -> Desks:
    @asynccontextmanager
    async def make(*args: Any, **more: Any) -> AsyncIterator[Running]:
        if request.param == "sqlite":
            async with running(tmp_path, *args, **more) as desk:
                yield desk
        else:
            with postgres_server.database() as url:
                async with running(tmp_path, *args, url=url, **more) as desk:
                    yield desk

    return make
