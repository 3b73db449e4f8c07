"""A durable desk with a scripted engine and an outlet that accepts every message at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from qwendesk import Desk, Settings
from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.commands.chat_commands import ChatCommands
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.runtime import DeskRuntime, WorkerSetup
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.messages import Author, Inbound, Outbound

QUESTION = "Where can I read more about the history of the bicycle?"
ANSWER = "In the museum's catalogue, and in any good library of the town."
_TIMEOUT_SECONDS = 300.0
OPEN = AdmissionLimits(
    per_hour=1e9,
    max_open_per_conversation=10**6,
    max_open_per_person=10**6,
    max_open_total=10**9,
    max_open_of_strangers=10**9,
    max_open_of_strangers_per_channel=10**9,
)


@dataclass(frozen=True, slots=True)
class Abilities:
    edits: bool = True
    edit_interval: float = 1.0
    typing: float | None = 5.0
    buttons: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    plain: str


@dataclass
class Outlet:
    """Accepts every message at once and counts them."""

    capabilities: Abilities = field(default_factory=Abilities)
    sent: int = 0
    first_sign: asyncio.Event = field(default_factory=asyncio.Event)
    awaited: tuple[int, asyncio.Event] | None = None
    """Number of messages to wait for, and the event that is set then."""

    async def split_message(self, text: str, author: Author | None = None) -> list[Piece]:
        return [Piece(text, text)]

    async def send(self, message: Outbound) -> str | None:
        self.sent += 1
        self.first_sign.set()
        if self.awaited and self.sent >= self.awaited[0]:
            self.awaited[1].set()
        return message.key

    async def reach(self, count: int) -> None:
        """Wait until a number of messages has been sent, by an event: polling would add to the measured CPU time."""
        if self.sent < count:
            self.awaited = count, asyncio.Event()
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                await self.awaited[1].wait()

    async def edit(self, message_id: str, message: Outbound) -> None:
        self.first_sign.set()

    async def typing(self, conversation: str, author: Author | None = None) -> None:
        self.first_sign.set()


@dataclass
class Running:
    desk: Desk
    runtime: DeskRuntime
    outlet: Outlet

    async def accept(self, number: int, conversations: int) -> None:
        inbound = Inbound(
            QUESTION, f"c{number % conversations}", channel="bench", event=f"{id(self)}-{time.time_ns()}-{number}"
        )
        admitted = await self.runtime.accept(inbound)
        assert admitted.outcome == "accepted", admitted

    async def settle(self, sent: int = 0) -> None:
        """Wait until all is answered; ``sent``: how much of it this process sends."""
        await self.outlet.reach(sent)
        while await self.runtime.acceptance.open_count():  # noqa: ASYNC110 - other processes answer as well
            await asyncio.sleep(0.05)


@asynccontextmanager
async def running(
    home: Path, url: str | None = None, *, answers: bool = True, delay: float = 0
) -> AsyncIterator[Running]:
    settings = Settings(home=home, engine="scripted", database_url=url)
    engine = ScriptedEngine(lambda messages: ANSWER, delay=delay)
    outlet = Outlet()
    async with Desk(settings, engines={"scripted": engine}) as desk:
        database = desk.memory.scope
        commands = ChatCommands(InboxRepository(database), _nothing, _nothing_at_all)
        setup = WorkerSetup(desk.turns.run, {"bench": outlet}, commands, settings.max_concurrent_conversations)
        runtime = DeskRuntime(
            database,
            settings.database,
            worker=setup if answers else None,
            access_policies={"bench": AccessPolicy("open")},
            limits=OPEN,
        )
        await runtime.start()
        try:
            yield Running(desk, runtime, outlet)
        finally:
            await runtime.stop(5)


async def _nothing(inbound: Inbound) -> str | None:
    return None


async def _nothing_at_all(name: str) -> None:
    return None
