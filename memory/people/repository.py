"""People in a SQL database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row

from qwendesk.errors import StoreError
from qwendesk.held_words import Forgotten, HeldWords
from qwendesk.memory.audit import record
from qwendesk.memory.conversations import rows
from qwendesk.memory.conversations import statements as conversation_statements
from qwendesk.memory.people import linking, statements
from qwendesk.memory.people.erasure import erase
from qwendesk.memory.people.export import everything
from qwendesk.memory.people.records import Code, Erased, Identity, Linked, Person
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work


class People:
    """Keeps the people of one tenant.

    Args:
        database: the tenant's view of the database.
        account: what stands for the account of their names.
        held: what this process holds of people's words outside the database.
    """

    def __init__(self, database: TenantDatabase, account: str, held: HeldWords | None = None) -> None:
        self._held = held or HeldWords()
        self._database = database
        self._account = account

    @unit_of_work
    async def find(self, name: str, *, channel: str = "python") -> Person | None:
        """Return the person of that name on a channel."""
        return await self._one(statements.by_name(), self._called(name, channel))

    @unit_of_work
    async def get(self, person: str) -> Person | None:
        """Return a person by id."""
        return await self._one(statements.by_id(), {"of_person": person})

    @unit_of_work
    async def meet(self, name: str, *, channel: str = "python") -> Person:
        """Return the person of that name on a channel, a new one where nobody has it."""
        if known := await self._one(statements.by_name(), self._called(name, channel)):
            return known
        async with self._database.write() as connection:
            await self._enter(connection, name, channel)
        met = await self._one(statements.by_name(), self._called(name, channel))
        if met is None:
            raise StoreError(f"The person {name!r} on {channel!r} was removed while being added; try again.")
        return met

    @unit_of_work
    async def named(self, text: str) -> list[Person]:
        """Return the people that a text may mean: an id, ``channel:name``, or a name on any channel."""
        channel, _, name = text.partition(":")
        async with self._database.read() as connection:
            values = {"text": text, "channel": channel, "name": name}
            return _people(await connection.execute(statements.by_any(), values))

    @unit_of_work
    async def listed(self, *, limit: int = 100) -> list[Person]:
        """Return people, newest first."""
        async with self._database.read() as connection:
            return _people(await connection.execute(statements.newest(), {"limit": limit}))

    @unit_of_work
    async def set_remembers(self, person: str, wish: bool) -> None:
        """Keep whether facts about the person may be learned and used."""
        async with self._database.write() as connection:
            done = await connection.execute(statements.set_remembers(), {"of_person": person, "wish": wish})
            if not done.rowcount:
                raise _nobody(person)

    @unit_of_work
    async def export(self, person: str) -> dict[str, Any]:
        """Return everything that is kept about a person as plain JSON types, files in base64."""
        async with self._database.read() as connection:
            found = await everything(connection, person)
        if found is None:
            raise _nobody(person)
        return found

    @unit_of_work
    async def forget(self, person: str, *, answering: str | None = None) -> Erased:
        """Remove a person and everything that came from them, in one transaction; an audit line without content stays.

        Of a conversation with others, the person's messages, the answers to them and all summaries go. What waits to be
        answered goes unanswered.

        Args:
            person: the person's id.
            answering: the accepted message that asks for it; it stays until its answer is delivered.
        """
        known = await self._one(statements.by_id(), {"of_person": person})
        async with self._database.write() as connection:
            counts = await erase(connection, person, answering)
            if not counts["person"]:
                raise _nobody(person)
            self._held.note(await record(connection, "forget", person, counts))
        await self._database.whole_database.vacuum()
        names = frozenset((name.channel, name.name) for name in (known.names if known else ()))
        await self._held.drop(Forgotten(names))
        return Erased(counts)

    @unit_of_work
    async def new_code(self, name: str, *, channel: str = "python") -> Code:
        """Make a code for a person on this channel; the one before is void."""
        async with self._database.write() as connection:
            return await linking.new_code(connection, await self._side(connection, name, channel))

    @unit_of_work
    async def enter_code(self, code: str, name: str, *, channel: str = "python") -> Linked:
        """Take a code that was entered on this channel; once both sides have, they are one person."""
        async with self._database.write() as connection:
            return await linking.enter(connection, code, await self._side(connection, name, channel))

    async def _one(self, statement: Any, values: dict[str, str]) -> Person | None:
        async with self._database.read() as connection:
            return next(iter(_people(await connection.execute(statement, values))), None)

    async def _side(self, connection: TenantConnection, name: str, channel: str) -> linking.Side:
        await self._enter(connection, name, channel)
        found = await connection.execute(statements.identity(), self._called(name, channel))
        return linking.Side(*found.one())

    async def _enter(self, connection: TenantConnection, name: str, channel: str) -> None:
        """Add a person of that name where nobody has it."""
        if (await connection.execute(statements.identity(), self._called(name, channel))).one_or_none():
            return
        person, identity = rows.person(name, channel, self._account, datetime.now(UTC))
        await connection.execute(conversation_statements.add_person(), person)
        await connection.execute(conversation_statements.add_identity(self._database.dialect), identity)

    def _called(self, name: str, channel: str) -> dict[str, str]:
        return {"name": name, "channel": channel, "account": self._account}


def _people(found: Iterable[Row[*tuple[Any, ...]]]) -> list[Person]:
    """Put the rows of each person together."""
    people: dict[str, Person] = {}
    for id_, remembers, created_at, channel, name in found:
        known = people.get(id_) or Person(id_, (), remembers, created_at)
        names = (*known.names, Identity(channel, name)) if name is not None else known.names
        people[id_] = Person(id_, names, remembers, created_at)
    return list(people.values())


def _nobody(person: str) -> StoreError:
    return StoreError(f"There is no person {person!r}; 'qwendesk memory list' shows all.")
