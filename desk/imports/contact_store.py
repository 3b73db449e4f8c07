"""Store imported contacts as people: with a name on the import's channel, and on channels where they may write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import insert, select, tuple_, update
from uuid_utils import uuid7

from qwendesk.desk.imports.records import Contact
from qwendesk.desk.imports.runs import add_item, known_item
from qwendesk.desk.tickets.records import IMPORT_CHANNEL
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.records import NewFact
from qwendesk.memory.tables.conversations import Person, PersonIdentity
from qwendesk.memory.tables.imports import ImportItem
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

_ACCOUNT = ""
Stored = Literal["added", "unchanged", "forgotten"]


class ContactStore:
    """Stores contacts of one source.

    Args:
        database: the tenant's view of the database.
        facts: stores what is known about people.
        run: the run.
        source: the name of the installation.
    """

    def __init__(self, database: TenantDatabase, facts: Facts, run: str, source: str) -> None:
        self._database = database
        self._facts = facts
        self._run = run
        self._source = source

    async def add(self, contact: Contact) -> tuple[Stored, str | None]:
        """Store a contact once; return what was done and the person's id, None if the person was forgotten.

        A contact whose address or name on a channel is known joins that person.
        """
        stored, person, has_facts = await self._add(contact)
        if person and not has_facts:
            await self._learn(contact, person)
        return stored, person

    async def is_known(self, contact: Contact) -> bool:
        """Return whether a contact was imported before."""
        async with self._database.read() as connection:
            return await known_item(connection, self._source, "contact", contact.external_id) is not None

    @unit_of_work
    async def _add(self, contact: Contact) -> tuple[Stored, str | None, bool]:
        async with self._database.write() as connection:
            if known := await known_item(connection, self._source, "contact", contact.external_id):
                stored: Stored = "unchanged" if known.person_id else "forgotten"
                return stored, known.person_id, "facts" in known.details
            names = self._names(contact)
            owners = await _owners(connection, names)
            person = next((owners[name] for name in names if name in owners), None)
            is_new = person is None
            if person is None:
                person = str(uuid7())
                await connection.execute(insert(Person), {"id": person, "created_at": datetime.now(UTC)})
            added = await _add_identities(connection, person, [name for name in names if name not in owners])
            details = {"is_new": is_new, "identities": added}
            await add_item(
                connection, self._run, self._source, "contact", contact.external_id, person_id=person, details=details
            )
        return "added", person, False

    async def _learn(self, contact: Contact, person: str) -> None:
        """Store name, address and the like as facts about the person, without replacing what is known here."""
        here = {fact.key for fact in await self._facts.known(person)}
        given = {"name": contact.name, "email": contact.email, "phone": contact.phone, "company": contact.company}
        new = [NewFact(key, value) for key, value in given.items() if value and key not in here]
        learned = await self._facts.learn(person, new)
        await self._note_facts(contact, [fact.id for fact in learned.kept])

    @unit_of_work
    async def _note_facts(self, contact: Contact, facts: Sequence[str]) -> None:
        async with self._database.write() as connection:
            known = await known_item(connection, self._source, "contact", contact.external_id)
            if known:
                details = {**known.details, "facts": list(facts)}
                await connection.execute(update(ImportItem).where(ImportItem.id == known.id).values(details=details))

    def _names(self, contact: Contact) -> list[tuple[str, str]]:
        """Return channels with the contact's name there."""
        of_import = (IMPORT_CHANNEL.format(self._source), contact.external_id)
        by_mail = [("mail", contact.email)] if contact.email else []
        return [of_import, *by_mail, *contact.identities]


async def _owners(connection: TenantConnection, names: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    identity = PersonIdentity
    columns: tuple[Any, ...] = (identity.channel, identity.external_user_id, identity.person_id)
    here = tuple_(identity.channel, identity.external_user_id).in_(names) & (identity.account == _ACCOUNT)
    return {(row[0], row[1]): row[2] for row in await connection.execute(select(*columns).where(here))}


async def _add_identities(connection: TenantConnection, person: str, names: Sequence[tuple[str, str]]) -> list[str]:
    rows: list[dict[str, Any]] = [
        {
            "id": str(uuid7()),
            "person_id": person,
            "channel": channel,
            "account": _ACCOUNT,
            "external_user_id": name,
            "created_at": datetime.now(UTC),
        }
        for channel, name in dict.fromkeys(names)
    ]
    if rows:
        await connection.execute(insert(PersonIdentity), rows)
    return [row["id"] for row in rows]
