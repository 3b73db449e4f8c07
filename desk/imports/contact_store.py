"""Store imported contacts as people: with a name on the import's channel, and on channels where they may write."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import insert, select, tuple_
from uuid_utils import uuid7

from qwendesk.desk.imports.records import Contact
from qwendesk.desk.imports.runs import add_item, known_item, set_details
from qwendesk.desk.tickets.records import IMPORT_CHANNEL
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.records import NewFact
from qwendesk.memory.tables.conversations import Person, PersonIdentity
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

_ACCOUNT = ""
Stored = Literal["added", "changed", "unchanged", "forgotten"]


class ContactStore:
    """Stores contacts of one source.

    Args:
        database: the tenant's view of the database.
        facts: stores what is known about people.
        run: the run.
        source: the name of the installation.
        trusts_addresses: whether an e-mail address, which anybody may have typed there, joins a name on a platform.
    """

    def __init__(
        self, database: TenantDatabase, facts: Facts, run: str, source: str, *, trusts_addresses: bool = False
    ) -> None:
        self._database = database
        self._facts = facts
        self._run = run
        self._source = source
        self._trusts_addresses = trusts_addresses

    async def add(self, contact: Contact) -> tuple[Stored, str | None]:
        """Store a contact once; return what was done and the person's id, None if the person was forgotten.

        A contact whose address or name on a channel is known joins that person. One that was stored before gets the
        names and facts that it did not have then; what was deleted here since does not come back.
        """
        stored, person, keys = await self._add(contact)
        if person and await self._learn(contact, person, keys) and stored == "unchanged":
            stored = "changed"
        return stored, person

    async def preview(self, contact: Contact) -> Stored:
        """Return whether a contact is new, known, or was forgotten."""
        async with self._database.read() as connection:
            known = await known_item(connection, self._source, "contact", contact.external_id)
        return "added" if known is None else "unchanged" if known.person_id else "forgotten"

    @unit_of_work
    async def _add(self, contact: Contact) -> tuple[Stored, str | None, Sequence[str]]:
        """Store a contact with its names; return also the keys of the facts that it has been given before."""
        async with self._database.write() as connection:
            known = await known_item(connection, self._source, "contact", contact.external_id)
            if known and not known.person_id:
                return "forgotten", None, ()
            details = known.details if known else {}
            names = self._names(contact, details.get("channels", ()))
            owners = await _owners(connection, names)
            person = known.person_id if known else next((owners[name] for name in names if name in owners), None)
            is_new = person is None
            if person is None:
                person = str(uuid7())
                await connection.execute(insert(Person), {"id": person, "created_at": datetime.now(UTC)})
            added = await _add_identities(connection, person, [name for name in names if name not in owners])
            channels = [name[0] for name in names if owners.get(name, person) == person]
            noted: dict[str, Any] = {
                "identities": [*details.get("identities", ()), *added],
                "channels": [*details.get("channels", ()), *dict.fromkeys(channels)],
            }
            if known:
                await set_details(connection, self._source, "contact", contact.external_id, **noted)
                return "changed" if added else "unchanged", person, details.get("keys", ())
            noted |= {"is_new": is_new}
            await add_item(
                connection, self._run, self._source, "contact", contact.external_id, person_id=person, details=noted
            )
        return "added", person, ()

    async def _learn(self, contact: Contact, person: str, keys: Sequence[str]) -> bool:
        """Store name, address and the like as facts about the person; return whether there were any.

        Args:
            contact: the contact.
            person: the person's id; what is known here is not replaced.
            keys: the keys that the contact had before.
        """
        given = {"name": contact.name, "email": contact.email, "phone": contact.phone, "company": contact.company}
        given = {key: value for key, value in given.items() if value and key not in keys}
        if not given:
            return False
        here = {fact.key for fact in await self._facts.known(person)}
        new = [NewFact(key, value) for key, value in given.items() if key not in here]
        learned = await self._facts.learn(person, new)
        await self._note_facts(contact, [fact.id for fact in learned.kept], [*keys, *given])
        return bool(learned.kept)

    @unit_of_work
    async def _note_facts(self, contact: Contact, facts: Sequence[str], keys: Sequence[str]) -> None:
        async with self._database.write() as connection:
            if known := await known_item(connection, self._source, "contact", contact.external_id):
                noted = {"facts": [*known.details.get("facts", ()), *facts], "keys": list(keys)}
                await set_details(connection, self._source, "contact", contact.external_id, **noted)

    def _names(self, contact: Contact, before: Collection[str]) -> list[tuple[str, str]]:
        """Return channels with the contact's name there, without the channels where it had one before.

        A platform proves the name of who writes there, and nobody has proved a typed address: a person gets the names
        of one of the two kinds, unless addresses are trusted.
        """
        of_import = IMPORT_CHANNEL.format(self._source)
        by_mail = [("mail", contact.email)] if contact.email else []
        if not self._trusts_addresses:
            if contact.identities or not {"mail", of_import}.issuperset(before):
                by_mail = []
            if "mail" in before:
                return [] if of_import in before else [(of_import, contact.external_id)]
        names = [(of_import, contact.external_id), *by_mail, *contact.identities]
        return [name for name in dict.fromkeys(names) if name[0] not in before]


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
