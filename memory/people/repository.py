"""People and their identities on channels."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, insert, or_, select, update
from sqlalchemy.orm import aliased
from sqlalchemy.sql.dml import ReturningInsert
from uuid_utils import uuid7

from qwendesk.errors import StoreError
from qwendesk.memory.audit import add_audit_entry
from qwendesk.memory.database import upsert
from qwendesk.memory.people import linking
from qwendesk.memory.people.personal_data import erase, export_person
from qwendesk.memory.records import Erased, Identity, IssuedCode, Linked, PersonRecord
from qwendesk.memory.tables import conversations as tables
from qwendesk.memory.tables.conversations import PersonIdentity
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.text_caches import Forgotten, TextCaches

_ADD_PERSON = insert(tables.Person)


class People:
    """Stores the people of one tenant.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the identities.
        text_caches: people's words that this process holds outside the database.
    """

    def __init__(self, database: TenantDatabase, account: str, text_caches: TextCaches | None = None) -> None:
        self._text_caches = text_caches or TextCaches()
        self._database = database
        self._account = account

    @unit_of_work
    async def find(self, name: str, *, channel: str = "python") -> PersonRecord | None:
        """Return the person of that name on a channel."""
        async with self._database.read() as connection:
            return await self._find(connection, name, channel)

    @unit_of_work
    async def get(self, person: str) -> PersonRecord | None:
        """Return a person by id."""
        async with self._database.read() as connection:
            return await _get(connection, person)

    @unit_of_work
    async def get_or_create(self, name: str, *, channel: str = "python") -> PersonRecord:
        """Return the person of that name on a channel; add one where there is none."""
        async with self._database.read() as connection:
            if known := await self._find(connection, name, channel):
                return known
        async with self._database.write() as connection:
            await self._enter(connection, name, channel)
        async with self._database.read() as connection:
            met = await self._find(connection, name, channel)
        if met is None:
            raise StoreError(f"The person {name!r} on {channel!r} was removed while being added; try again.")
        return met

    @unit_of_work
    async def named(self, text: str) -> list[PersonRecord]:
        """Return the people that a text may mean: an id, ``channel:name``, or a name on any channel."""
        channel, _, name = text.partition(":")
        identity = aliased(PersonIdentity)
        on_channel = (identity.channel == channel) & (identity.external_user_id == name)
        meant = select(identity.person_id).where(or_(identity.external_user_id == text, on_channel))
        statement = _people().where(or_(tables.Person.id == text, tables.Person.id.in_(meant)))
        async with self._database.read() as connection:
            return _grouped(await connection.execute(statement))

    @unit_of_work
    async def listed(self, *, limit: int = 100) -> list[PersonRecord]:
        """Return people, newest first."""
        some = aliased(tables.Person)
        newest = select(some.id).order_by(some.id.desc()).limit(limit)
        async with self._database.read() as connection:
            return _grouped(await connection.execute(_people().where(tables.Person.id.in_(newest))))

    @unit_of_work
    async def set_remembers(self, person: str, remembers: bool) -> None:
        """Store whether facts about the person may be stored and used."""
        statement = update(tables.Person).where(tables.Person.id == person).values(remembers=remembers)
        async with self._database.write() as connection:
            if not (await connection.execute(statement)).rowcount:
                raise _unknown(person)

    @unit_of_work
    async def export(self, person: str) -> dict[str, Any]:
        """Return everything stored about a person as plain JSON types, files in base64."""
        async with self._database.read() as connection:
            found = await export_person(connection, person)
        if found is None:
            raise _unknown(person)
        return found

    @unit_of_work
    async def forget(self, person: str, *, answering: str | None = None) -> Erased:
        """Delete a person and everything that came from them in one transaction; an audit line without content stays.

        In a conversation with others, the person's messages, their answers and all summaries are deleted. Queued
        messages of the person are not answered.

        Args:
            person: the person's id.
            answering: the accepted message with this request; it stays until its answer is delivered.
        """
        async with self._database.read() as connection:
            known = await _get(connection, person)
        async with self._database.write() as connection:
            counts = await erase(connection, person, answering)
            if not counts["person"]:
                raise _unknown(person)
            self._text_caches.note(await add_audit_entry(connection, "forget", person, counts))
        await self._database.whole_database.vacuum()
        names = frozenset((name.channel, name.name) for name in (known.names if known else ()))
        await self._text_caches.drop(Forgotten(names))
        return Erased(counts)

    @unit_of_work
    async def new_code(self, name: str, *, channel: str = "python") -> IssuedCode:
        """Create a link code for a person on this channel; an earlier one becomes void."""
        async with self._database.write() as connection:
            return await linking.new_code(connection, await self._enter(connection, name, channel))

    @unit_of_work
    async def enter_code(self, code: str, name: str, *, channel: str = "python") -> Linked:
        """Enter a link code on this channel; once both sides have entered it, they are one person."""
        async with self._database.write() as connection:
            return await linking.enter(connection, code, await self._enter(connection, name, channel))

    async def _find(self, connection: TenantConnection, name: str, channel: str) -> PersonRecord | None:
        values = {"channel": channel, "account": self._account, "person": name}
        return next(iter(_grouped(await connection.execute(_by_name(), values))), None)

    async def _enter(self, connection: TenantConnection, name: str, channel: str) -> linking.Side:
        """Return a person's identity on a channel; add both where there are none."""
        values = {"channel": channel, "account": self._account, "person": name}
        found = (await connection.execute(_identity(), values)).one_or_none()
        if found is None:
            await add_person(connection, name, channel, self._account)
            found = (await connection.execute(_identity(), values)).one()
        return linking.Side(*found)


async def add_person(connection: TenantConnection, name: str, channel: str, account: str) -> str:
    """Add a person with an identity; return the id of the person who owns the identity."""
    now = datetime.now(UTC)
    person = {"id": str(uuid7()), "created_at": now}
    await connection.execute(_ADD_PERSON, person)
    identity = {
        "id": str(uuid7()),
        "person_id": person["id"],
        "channel": channel,
        "account": account,
        "external_user_id": name,
        "created_at": now,
    }
    owner = await connection.execute(_add_identity(connection.raw.dialect.name), identity)
    return str(owner.scalar_one())


def is_person() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the identity with the parameters ``channel``, ``account`` and ``person``."""
    return (
        PersonIdentity.channel == bindparam("channel"),
        PersonIdentity.account == bindparam("account"),
        PersonIdentity.external_user_id == bindparam("person"),
    )


@cache
def _add_identity(dialect: str) -> ReturningInsert[Any]:
    """Add an identity unless it exists, and return the id of the person who owns it."""
    key = ["tenant_id", "channel", "account", "external_user_id"]
    # DO NOTHING would return no row, so the existing row is overwritten with its own value.
    same = {"external_user_id": PersonIdentity.external_user_id}
    statement = upsert(dialect, PersonIdentity).on_conflict_do_update(index_elements=key, set_=same)
    return statement.returning(PersonIdentity.person_id)


@cache
def _identity() -> Select[Any]:
    columns: tuple[Any, ...] = (PersonIdentity.id, PersonIdentity.person_id)
    return select(*columns).where(*is_person())


@cache
def _by_name() -> Select[Any]:
    person = select(PersonIdentity.person_id).where(*is_person())
    return _people().where(tables.Person.id == person.scalar_subquery())


def _people() -> Select[Any]:
    """Select people with a row for each identity, newest person first."""
    columns: tuple[Any, ...] = (
        tables.Person.id,
        tables.Person.remembers,
        tables.Person.created_at,
        PersonIdentity.channel,
        PersonIdentity.external_user_id,
    )
    of_person = PersonIdentity.person_id == tables.Person.id
    people = select(*columns).select_from(tables.Person).join(PersonIdentity, of_person, isouter=True)
    return people.order_by(tables.Person.id.desc(), PersonIdentity.id)


async def _get(connection: TenantConnection, person: str) -> PersonRecord | None:
    found = await connection.execute(_people().where(tables.Person.id == person))
    return next(iter(_grouped(found)), None)


def _grouped(found: Iterable[Row[*tuple[Any, ...]]]) -> list[PersonRecord]:
    """Return a person from the rows of their identities."""
    people: dict[str, PersonRecord] = {}
    for id_, remembers, created_at, channel, name in found:
        known = people.get(id_) or PersonRecord(id_, (), remembers, created_at)
        names = (*known.names, Identity(channel, name)) if name is not None else known.names
        people[id_] = PersonRecord(id_, names, remembers, created_at)
    return list(people.values())


def _unknown(person: str) -> StoreError:
    return StoreError(f"There is no person {person!r}; 'qwendesk memory list' shows all.")
