"""A whole desk with an operators' room on a platform: a customer writes privately, operators in threads of the room."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk import Desk, Settings, risky
from qwendesk.channel_wiring import make_channel
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.desk.operators.operators import Operators
from qwendesk.desk.tickets.queries import TicketThread
from qwendesk.desk.tickets.records import TicketGone, TicketRecord
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.plugins import load
from qwendesk.service import Service
from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage
from tests.databases import put_migrated
from tests.desk.tickets.operators import add_operator
from tests.ports import free_port

CUSTOMER, ANN, BO, STRANGER = "1001", "2001", "2002", "2003"


@dataclass
class RoomDesk:
    """The desk, the platform and the room."""

    service: Service
    platform: Simulator
    chat: str
    """The room, as the platform's ``UserMessage.chat``."""
    room: str
    """The room's id."""
    refunds: list[tuple[str, int]] = field(default_factory=list)
    """What the tool ``refund`` of the desk has done."""
    names: dict[str, str] = field(default_factory=dict)

    async def hire(self, name: str, person: str, *, links: bool = True, **values: Any) -> None:
        """Add an operator's account, and link it by the code that the operator writes in the room."""
        actor = await add_operator(self.service.runtime.database, name, **values)
        if not links:
            return
        operators = Operators(self.service.runtime.database)
        account = await operators.accounts.get(actor.operator_id or "")
        assert account
        code = await operators.links.make_code(account, self.channel, AuditActor())
        await self.write(f"!link {code}", person)
        await self.until(lambda: any(f"You are {actor.name} here" in text for text in self.texts(None)))

    @property
    def channel(self) -> str:
        (name,) = self.service.channels
        return name

    async def ask(self, text: str, person: str = CUSTOMER) -> None:
        """Write as a customer in the private chat with the bot."""
        await self.platform.write(UserMessage(text, person=person))

    async def write(self, text: str, person: str = ANN, thread: str | None = None, **more: Any) -> None:
        """Write in the room, or in a thread of it."""
        await self.platform.write(UserMessage(text, person=person, chat=self.chat, group=True, thread=thread, **more))

    def seen(self) -> list[SeenMessage]:
        """Return the desk's messages in the room."""
        return [message for message in self.platform.messages if message.chat == self.room]

    def texts(self, thread: str | None) -> list[str]:
        """Return the desk's texts in a thread, or outside of threads, oldest first."""
        return [message.text for message in self.seen() if message.thread == thread]

    def answers(self) -> list[str]:
        """Return what the customer has got."""
        return [message.text for message in self.platform.messages if message.chat != self.room]

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.platform.wait_until(lambda _: condition(), 60)

    async def holds(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Wait until a condition on the database holds."""
        async with asyncio.timeout(60):
            while not await condition():  # noqa: ASYNC110 - the desk's tasks make it true
                await asyncio.sleep(0.05)

    async def ticket(self, number: int = 1) -> TicketRecord:
        return await self.service.runtime.ticket_queries.numbered(number)

    async def stored(self, number: int = 1) -> TicketThread:
        return await self.service.runtime.ticket_queries.thread((await self.ticket(number)).id)

    async def state(self, state: str, number: int = 1) -> None:
        async def is_in() -> bool:
            with suppress(TicketGone):  # there is none yet
                return (await self.ticket(number)).state == state
            return False

        await self.holds(is_in)

    async def thread(self, count: int = 1) -> str:
        """Wait for the newest of so many threads to be introduced, and return it."""

        def introduced() -> list[str]:
            return list(dict.fromkeys(one.thread for one in self.seen() if one.thread))

        await self.until(lambda: len(introduced()) >= count)
        return introduced()[-1]

    async def handed_over(self, text: str = "/human my parcel is lost") -> str:
        """Let a customer ask for a person, and return the thread of the ticket, which may not be introduced yet."""
        known = {one.thread for one in self.seen()}
        await self.ask(text)
        await self.until(lambda: any(one.thread and one.thread not in known for one in self.seen()))
        return next(one.thread for one in self.seen() if one.thread and one.thread not in known)


def _answer(messages: list[BaseMessage]) -> str:
    """Answer as the model does where a test has no script: a refund is made where the customer asks for one."""
    newest = messages[-1].text
    if "Refunded" in newest:
        return "It is refunded."
    if "refund order 4711" in newest:
        call = {"name": "refund", "arguments": {"order": "4711", "amount": 50}}
        return f"<tool_call>{json.dumps(call)}</tool_call>"
    return "The bot answers."


@asynccontextmanager
async def room_desk(
    platform: Simulator,
    name: str,
    chat: str,
    room: str,
    home: Path,
    *,
    script: Any = None,
    translates: bool = False,
    **channel: Any,
) -> AsyncIterator[RoomDesk]:
    """Run a desk with an operators' room on a started platform.

    Args:
        platform: the platform.
        name: the channel.
        chat: the room, as the platform's ``UserMessage.chat``.
        room: the room's id.
        home: the desk's folder, which keeps its database.
        script: what the model answers; None: as ``_answer`` does.
        translates: whether messages are translated.
        channel: further settings of the channel.
    """
    port = free_port()
    platform.desk_url = f"http://127.0.0.1:{port}"
    values = {**platform.settings(), "operators_room": room, **channel}
    own = {name: {**values, "access": "open", "feedback_buttons": False, "machine_notice": False}}
    more: dict[str, Any] = {"translation": {"enabled": translates}}
    settings = Settings(home=home, engine="scripted", port=port, shutdown_timeout=5, channels=own, **more)
    if not (settings.data_dir / "qwendesk.db").exists():
        put_migrated(settings.data_dir / "qwendesk.db")
    refunds: list[tuple[str, int]] = []

    async def refund(order: str, amount: int) -> str:
        """Refund an order."""
        refunds.append((order, amount))
        return f"Refunded {amount} for {order}."

    desk = Desk(settings, engines={"scripted": ScriptedEngine(script or _answer)}, tools=[risky(refund)])
    channels = {name: make_channel(load("channels", name), values, settings)}
    async with Service(settings, channels=channels, desk=desk) as service:
        await platform.wait_started()
        yield RoomDesk(service, platform, chat, room, refunds)
