"""A desk's tickets on both databases; messages are accepted and claimed as a worker does it, but not answered."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update

from qwendesk.desk.inbox.acceptance import InboxAcceptance
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository
from qwendesk.desk.tickets.approvals import TicketApprovals
from qwendesk.desk.tickets.flow import TicketFlow
from qwendesk.desk.tickets.placement import Placement
from qwendesk.desk.tickets.queries import TicketQueries
from qwendesk.desk.tickets.records import Actor, TicketRecord, TicketRules
from qwendesk.desk.tickets.service import Tickets
from qwendesk.desk.tickets.waiting_turns import WaitingTurns
from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.messages import Inbound, Reply
from tests import postgres_server
from tests.databases import put_migrated
from tests.desk.parts import Running, running
from tests.desk.tickets.operators import add_operator
from tests.memory.talk import RECEIPT

CALLS = (
    {
        "id": "r1",
        "tool": "refund",
        "arguments": {"order": "4711", "amount": 50},
        "reason": "the tool is risky; amount = 50 does not stand in the message but in a document",
    },
)
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

    @property
    def approvals(self) -> TicketApprovals:
        return TicketApprovals(
            self.memory.scope, lambda _, id_, __, sequence: self.queued.append((id_, sequence)), self.tickets
        )

    async def ask_approval(
        self, text: str, conversation: str = "c1", calls: Sequence[dict[str, Any]] = CALLS, **more: Any
    ) -> TicketRecord:
        """Accept a message whose turn stops before risky calls, and let it wait on its ticket."""
        claimed = await self.accept(text, conversation, **more)
        placement = await self.flow.place(claimed)
        assert placement
        turn = await self.memory.turns.begin(claimed.inbound)
        await self.memory.pending.add(turn, calls, b"state", datetime.now(UTC) + timedelta(hours=24))
        await self.memory.turns.finish(turn, Reply("", conversation, replace(RECEIPT, waits_for=("refund",))))
        assert await WaitingTurns(self.memory.scope).ask(claimed)
        await InboxRepository(self.memory.scope).complete(claimed.id, claimed.run, "done")
        return placement.ticket

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
