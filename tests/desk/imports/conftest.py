"""A desk to import into, on both databases, and folders to import from."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from qwendesk.desk.imports.chatwoot import Chatwoot
from qwendesk.desk.imports.export_files import ExportFiles
from qwendesk.desk.imports.help_desk import HelpDesk, SourceItems
from qwendesk.desk.imports.importer import Importer, ImportOptions
from qwendesk.desk.imports.report import ImportReport
from qwendesk.desk.imports.zammad import Zammad
from qwendesk.desk.inbox.acceptance import InboxAcceptance
from qwendesk.desk.inbox.repository import InboxRepository, conversation_key
from qwendesk.desk.tickets.flow import TicketFlow
from qwendesk.desk.tickets.queries import TicketFilter, TicketQueries, TicketThread
from qwendesk.desk.tickets.records import DeliveryAddress
from qwendesk.desk.tickets.service import Tickets
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound
from tests import postgres_server
from tests.databases import put_migrated

Write = Callable[[dict[str, Any]], Path]


@dataclass
class Receiving:
    """A desk that things are imported into."""

    memory: Memory
    knowledge: KnowledgeBase
    tickets: Tickets
    queries: TicketQueries
    queued: list[str] = field(default_factory=list)
    mails: int = 0

    async def take(
        self, place: Path | SourceItems, desk: HelpDesk | None = None, source: str = "chatwoot", **options: Any
    ) -> ImportReport:
        """Import from a folder or from other items."""
        desk = desk or (Zammad() if source == "zammad" else Chatwoot("https://chat.example"))
        items = ExportFiles(place, desk) if isinstance(place, Path) else place
        return await Importer(self.memory, self.knowledge, desk, items, ImportOptions(source, **options)).run()

    async def write(self, text: str, to: DeliveryAddress) -> str:
        """Accept a customer's mail, and return the id of its ticket."""
        self.mails += 1
        inbound = Inbound(
            text, to.conversation, channel="mail", account=to.account, person=to.person, event=f"e{self.mails}"
        )
        accepted = await InboxAcceptance(self.memory.scope).accept(inbound, (), lambda *row: None)
        inbox = InboxRepository(self.memory.scope)
        claimed = await inbox.claim(accepted.id)
        assert claimed
        placement = await TicketFlow(self.memory.scope, self.tickets).place(claimed)
        assert placement
        key = conversation_key(to.account, to.conversation)
        await self.memory.turns.begin(replace(claimed.inbound, account="", conversation=key))
        await inbox.complete(claimed.id, claimed.run, "done")
        return placement.ticket.id

    async def threads(self) -> list[TicketThread]:
        """Return all tickets with their messages, by number."""
        found = await self.queries.listed(TicketFilter())
        return [await self.queries.thread(one.id) for one in sorted(found, key=lambda one: one.number)]


@pytest.fixture(params=["sqlite", "postgresql"])
async def receiving(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Receiving]:
    if request.param == "sqlite":
        put_migrated(tmp_path / "desk.db")
        async for made in _made(f"sqlite+aiosqlite:///{tmp_path / 'desk.db'}"):
            yield made
    else:
        with postgres_server.database() as url:
            async for made in _made(url):
                yield made


async def _made(url: str) -> AsyncIterator[Receiving]:
    memory = Memory(url)
    await memory.open()
    knowledge = KnowledgeBase(memory.database)
    queued: list[str] = []
    tickets = Tickets(memory.scope, lambda connection, id_, *row: queued.append(id_))
    try:
        yield Receiving(memory, knowledge, tickets, TicketQueries(memory.scope), queued)
    finally:
        await knowledge.aclose()
        await memory.aclose()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes files of an export into one folder and returns it."""

    def to_folder(files: dict[str, Any]) -> Path:
        folder = tmp_path / "export"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            (folder / name).write_bytes(data)
        return folder

    return to_folder
