"""Undo an import: delete what a run has added, except what was used here since."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, or_, select, update

from qwendesk.desk.imports.runs import RunRecord
from qwendesk.desk.operators.audit import AuditActor, add_entry
from qwendesk.knowledge.knowledge_base import KnowledgeBase
from qwendesk.memory.people.personal_data import is_empty_conversation
from qwendesk.memory.tables.canned import CannedAnswerRow
from qwendesk.memory.tables.conversations import Conversation, Message, Person, PersonIdentity
from qwendesk.memory.tables.facts import StoredFact
from qwendesk.memory.tables.imports import ImportItem, ImportRun
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase

_BATCH = 200


@dataclass(slots=True)
class Undone:
    """What an undo has deleted, and what it has kept."""

    deleted: Counter[str] = field(default_factory=Counter)
    kept: list[int] = field(default_factory=list)
    """Numbers of tickets that somebody has answered or changed here."""
    kept_contacts: int = 0
    """People who have more here; what the run has added to them is taken back, except names by which they write."""


@dataclass(frozen=True, slots=True)
class _Item:
    id: str
    kind: str
    person_id: str | None
    ticket_id: str | None
    details: dict[str, Any]

    @property
    def is_forgotten(self) -> bool:
        """Whether the person was forgotten, or the ticket deleted, before the run is undone."""
        return (self.kind == "contact" and not self.person_id) or (self.kind == "ticket" and not self.ticket_id)


class ImportUndo:
    """Undoes imports of one tenant.

    Args:
        database: the tenant's view of the database.
        knowledge: the documents.
    """

    def __init__(self, database: TenantDatabase, knowledge: KnowledgeBase) -> None:
        self._database = database
        self._knowledge = knowledge

    async def undo(self, run: RunRecord, *, force: bool = False) -> Undone:
        """Delete what a run has added, in small steps; one that is broken off goes on where it was.

        What was forgotten or deleted since stays known, so that another import does not bring it back.

        Args:
            run: the run.
            force: delete also tickets that were answered or changed here.
        """
        undone = Undone()
        for kind, step in (("ticket", self._tickets), ("contact", self._contacts), ("canned", self._canned)):
            await self._each(run, kind, step, undone, force)
        await self._articles(run, undone)
        async with self._database.write() as connection:
            is_left = exists(ImportItem.id).where(ImportItem.run_id == ImportRun.id)
            of_run = ImportRun.id == run.id
            await connection.execute(delete(ImportRun).where(of_run, ~is_left))
            if force or not (undone.kept or undone.kept_contacts):
                ended = {"undone_at": datetime.now(UTC), "counts": {}}
                await connection.execute(update(ImportRun).where(of_run).values(**ended))
            details = {**undone.deleted, "kept": len(undone.kept), "kept_contacts": undone.kept_contacts}
            await add_entry(connection, AuditActor(), "import.undo", f"import:{run.id}", details)
        await self._database.whole_database.vacuum()
        return undone

    async def _each(self, run: RunRecord, kind: str, step: Any, undone: Undone, force: bool) -> None:
        last = ""
        while items := await self._items(run, kind, last):
            last = items[-1].id
            async with self._database.write() as connection:
                kept = await step(connection, items, undone, force)
                gone = [item.id for item in items if item.id not in kept and not item.is_forgotten]
                await connection.execute(delete(ImportItem).where(ImportItem.id.in_(gone)))

    async def _items(self, run: RunRecord, kind: str, after: str) -> list[_Item]:
        item = ImportItem
        columns: tuple[Any, ...] = (item.id, item.kind, item.person_id, item.ticket_id, item.details)
        here = (item.run_id == run.id) & (item.kind == kind) & (item.id > after)
        statement = select(*columns).where(here).order_by(item.id).limit(_BATCH)
        async with self._database.read() as connection:
            return [_Item(*row) for row in await connection.execute(statement)]

    async def _tickets(
        self, connection: TenantConnection, items: Sequence[_Item], undone: Undone, force: bool
    ) -> Collection[str]:
        """Delete tickets with their messages; return the ids of the items of those that are kept."""
        ids = [item.ticket_id for item in items if item.ticket_id]
        used = select(Ticket.id, Ticket.number).where(Ticket.id.in_(ids), ~Ticket.is_untouched)
        kept = {} if force else {row.id: row.number for row in await connection.execute(used)}
        undone.kept += sorted(kept.values())
        gone = [id_ for id_ in ids if id_ not in kept]
        places = select(Ticket.conversation_id).where(Ticket.id.in_(gone))
        conversations = list((await connection.execute(places)).scalars())
        undone.deleted["message"] += await _delete(connection, Message, Message.ticket_id.in_(gone))
        undone.deleted["ticket"] += await _delete(connection, Ticket, Ticket.id.in_(gone))
        await _delete(connection, Conversation, Conversation.id.in_(conversations), *is_empty_conversation())
        return {item.id for item in items if item.ticket_id in kept}

    async def _contacts(
        self, connection: TenantConnection, items: Sequence[_Item], undone: Undone, force: bool
    ) -> Collection[str]:
        """Take back names and facts; delete people who came with the run and have nothing else here.

        A name by which the person has written here stays, so that the next message is not that of a stranger.
        """
        facts = [one for item in items for one in item.details.get("facts", ())]
        names = [one for item in items for one in item.details.get("identities", ())]
        await _delete(connection, StoredFact, StoredFact.id.in_(facts))
        await _delete(connection, PersonIdentity, PersonIdentity.id.in_(names), ~or_(*_is_used()))
        people = [item.person_id for item in items if item.person_id]
        has_more = or_(
            exists(Message.id).where(Message.person_id == Person.id),
            exists(Ticket.id).where(Ticket.person_id == Person.id),
            exists(PersonIdentity.id).where(PersonIdentity.person_id == Person.id),
        )
        came = [item.person_id for item in items if item.details.get("is_new")]
        undone.deleted["contact"] += await _delete(connection, Person, Person.id.in_(came), ~has_more)
        here = set((await connection.execute(select(Person.id).where(Person.id.in_(people)))).scalars())
        left = select(PersonIdentity.id).where(PersonIdentity.id.in_(names))
        used = set((await connection.execute(left)).scalars())
        kept = {
            item.id
            for item in items
            if item.person_id in here
            and (item.details.get("is_new") or not used.isdisjoint(item.details.get("identities", ())))
        }
        undone.kept_contacts += len(kept)
        return () if force else kept

    async def _canned(
        self, connection: TenantConnection, items: Sequence[_Item], undone: Undone, force: bool
    ) -> Collection[str]:
        """Delete canned answers that nobody has changed."""
        ids = [item.details.get("id") for item in items]
        is_same = CannedAnswerRow.id.in_(ids) & (CannedAnswerRow.version == 1)
        undone.deleted["canned"] += await _delete(connection, CannedAnswerRow, is_same)
        return ()

    async def _articles(self, run: RunRecord, undone: Undone) -> None:
        documents = {document.uri: document.id for document in await self._knowledge.documents()}
        last = ""
        while items := await self._items(run, "article", last):
            last = items[-1].id
            added = [item.details.get("uri") for item in items if item.details.get("is_new")]
            undone.deleted["article"] += await self._knowledge.remove(
                [documents[uri] for uri in added if uri in documents]
            )
            async with self._database.write() as connection:
                await _delete(connection, ImportItem, ImportItem.id.in_([item.id for item in items]))


def _is_used() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions by one of which a name is in use here: for messages, or for a ticket that stays."""
    written = (InboundEvent.channel == PersonIdentity.channel) & (
        InboundEvent.person == PersonIdentity.external_user_id
    )
    of_person = (Ticket.person_id == PersonIdentity.person_id) & (Conversation.channel == PersonIdentity.channel)
    return (
        exists(InboundEvent.id).where(written),
        exists(Ticket.id).where(Ticket.conversation_id == Conversation.id, of_person),
    )


async def _delete(connection: TenantConnection, table: Any, *conditions: ColumnElement[bool]) -> int:
    return int((await connection.execute(delete(table).where(*conditions))).rowcount)
