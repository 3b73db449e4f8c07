"""A durable desk with a scripted engine and a channel that writes down what it is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Row, select

from qwendesk import Desk, Settings
from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.admission import AdmissionLimits
from qwendesk.desk.commands.chat_commands import ChatCommands, Explain
from qwendesk.desk.delivery.deliver import RetrySchedule
from qwendesk.desk.inbox.repository import InboxRepository
from qwendesk.desk.runtime import DeskRuntime
from qwendesk.desk.translations import MachineNotices
from qwendesk.engines.scripted import SCRIPTED_MODELS, Script, ScriptedEngine
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.inbox import OutboundMessage
from qwendesk.messages import Author, Button, Inbound, Outbound
from qwendesk.models.card import ModelCard
from qwendesk.wiring import build_commands, build_worker_setup, ticket_rules
from tests.databases import put_migrated

OPEN = {"test": AccessPolicy("open")}


@dataclass(frozen=True, slots=True)
class Abilities:
    edits: bool = False
    edit_interval: float = 0.2
    typing: float | None = None
    buttons: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    text: str
    plain: str


@dataclass
class TestOutlet:
    """Cuts at blank lines of three; keeps what it is given."""

    __test__ = False
    capabilities: Abilities = field(default_factory=Abilities)
    sent: list[Outbound] = field(default_factory=list)
    edited: list[tuple[str, str]] = field(default_factory=list)
    buttons: dict[str, tuple[Button, ...]] = field(default_factory=dict)
    signs: int = 0
    fail: Callable[[Outbound], None] = lambda message: None

    async def split_message(self, text: str, author: Author | None = None) -> list[Piece]:
        return [Piece(part, part) for part in text.split("\n\n\n") if part]

    async def send(self, message: Outbound) -> str | None:
        self.fail(message)
        self.sent.append(message)
        self.buttons[f"m{len(self.sent)}"] = message.buttons
        return f"m{len(self.sent)}"

    async def edit(self, message_id: str, message: Outbound) -> None:
        self.fail(message)
        self.edited.append((message_id, message.text))
        self.buttons[message_id] = message.buttons

    async def typing(self, conversation: str, author: Author | None = None) -> None:
        self.signs += 1

    @property
    def texts(self) -> list[str]:
        return [message.text for message in self.sent]


@dataclass
class Running:
    runtime: DeskRuntime
    outlet: TestOutlet
    desk: Desk
    engine: ScriptedEngine

    async def settle(self, seconds: float = 60.0) -> None:
        """Wait until nothing is open."""
        async with asyncio.timeout(seconds):
            while await self.runtime.acceptance.open_count():  # noqa: ASYNC110 - another process may be what settles it
                await asyncio.sleep(0.05)

    async def stored_parts(self, conversation: str = "c1") -> list[Row[Any]]:
        """Return the stored messages to a conversation, oldest first."""
        here = select(Conversation.id).where(Conversation.channel == "test", Conversation.external_id == conversation)
        row = OutboundMessage
        parts = select(row.key, row.text, row.status, row.message_id, row.error).order_by(row.id)
        async with self.runtime.database.read() as connection:
            return list(await connection.execute(parts.where(row.conversation_id.in_(here))))

    async def say(self, text: str, conversation: str = "c1", event: str | None = None, **more: Any) -> Any:
        person = {"person": "ann", **more}
        return await self.runtime.accept(Inbound(text, conversation, channel="test", event=event, **person))


@asynccontextmanager
async def running(
    home: Path,
    script: Script | None = None,
    *,
    outlet: TestOutlet | None = None,
    limits: AdmissionLimits | None = None,
    access_policies: Mapping[str, AccessPolicy] = OPEN,
    schedule: RetrySchedule | None = None,
    url: str | None = None,
    answers: bool = True,
    stop_timeout: float = 5.0,
    unrated_channels: frozenset[str] = frozenset(),
    cards: Iterable[ModelCard] = SCRIPTED_MODELS,
    notices: MachineNotices | None = None,
    explain: Explain | None = None,
    translates: bool = False,
    tools: Iterable[Any] = (),
    **settings: Any,
) -> AsyncIterator[Running]:
    """Run a whole desk in this process."""
    engine = ScriptedEngine(script, cards=cards)
    extra = {"database_url": url} if url else {}
    made = Settings(home=home, engine="scripted", **extra, **settings)
    if not made.database_url:
        put_migrated(made.data_dir / "qwendesk.db")
    outlet = outlet or TestOutlet()
    async with Desk(made, engines={"scripted": engine}, tools=tools) as desk:
        commands = build_commands(desk.memory, desk.commands, _any_model)
        if explain:
            commands = ChatCommands(InboxRepository(desk.memory.scope), explain, _any_model)
        setup = replace(
            build_worker_setup(
                made,
                desk.turns.run,
                commands,
                {"test": outlet},
                interpreter=desk.interpreter if translates else None,
                resume_turn=desk.turns.resume,
            ),
            retry_schedule=schedule or RetrySchedule(first_pause=0.05),
            unrated_channels=unrated_channels,
            notices=notices or MachineNotices(),
        )
        runtime = DeskRuntime(
            desk.memory.scope,
            made.database,
            worker=setup if answers else None,
            access_policies=access_policies,
            limits=limits,
            ticket_rules=ticket_rules(made),
        )
        await runtime.start()
        try:
            yield Running(runtime, outlet, desk, engine)
        finally:
            await runtime.stop(stop_timeout)


async def _any_model(name: str) -> None:
    return None
