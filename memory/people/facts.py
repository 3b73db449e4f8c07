"""Facts about people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, insert, select, update
from uuid_utils import uuid7

from qwendesk.memory.people.fact_rules import FactRules, mentioning, tidy
from qwendesk.memory.records import UNWANTED, Fact, Learned, NewFact
from qwendesk.memory.tables.conversations import Message, Person
from qwendesk.memory.tables.facts import StoredFact
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

LIST_LIFETIME = timedelta(hours=1)
"""How long a person may refer to the numbers of a shown list."""
_COLUMNS: tuple[Any, ...] = (
    StoredFact.id,
    StoredFact.key,
    StoredFact.value,
    StoredFact.category,
    StoredFact.confidence,
    StoredFact.source_message_id,
    StoredFact.valid_from,
    StoredFact.valid_to,
    StoredFact.superseded_by,
    StoredFact.data,
)
"""In the order of ``Fact``'s fields."""
_IS_LIVE = StoredFact.valid_to.is_(None)


class Facts:
    """Stores the facts about one tenant's people.

    A ``namespace`` is that of a LangGraph store; the empty one contains the desk's own facts.

    Args:
        database: the tenant's view of the database.
        rules: decide which facts may be stored.
    """

    def __init__(self, database: TenantDatabase, rules: FactRules) -> None:
        self._database = database
        self._rules = rules

    @unit_of_work
    async def known(self, person: str, *, namespace: str = "", limit: int = 200) -> list[Fact]:
        """Return the facts that are valid now, newest first."""
        statement = select(*_COLUMNS).where(*_of(person, namespace), _IS_LIVE)
        async with self._database.read() as connection:
            found = await connection.execute(statement.order_by(StoredFact.id.desc()).limit(limit))
            return [Fact(*row) for row in found]

    @unit_of_work
    async def past(self, person: str, key: str, *, namespace: str = "") -> list[Fact]:
        """Return all values of a key, newest first."""
        statement = select(*_COLUMNS).where(*_of(person, namespace), StoredFact.key == key)
        async with self._database.read() as connection:
            found = await connection.execute(statement.order_by(StoredFact.id.desc()))
            return [Fact(*row) for row in found]

    @unit_of_work
    async def learn(self, person: str, facts: Sequence[NewFact], *, namespace: str = "") -> Learned:
        """Store the facts that the rules accept in one transaction; a new value closes the old one.

        Facts from a deleted message, or about a person who wants none stored, are refused.
        """
        # Of several facts with one key, the last one is the newest.
        fresh = {fact.key: fact for fact in (tidy(one, exact=bool(namespace)) for one in facts)}
        # Locked, so that the person is not deleted meanwhile.
        setting = select(Person.remembers).where(Person.id == person).with_for_update()
        async with self._database.write() as connection:
            remembers = (await connection.execute(setting)).scalar_one_or_none()
            if not remembers:
                why = "the person is not known" if remembers is None else UNWANTED
                return Learned(refused=tuple((key, why) for key in fresh))
            sources = await _sources(connection, person, fresh.values())
            refused = {key: reason for key, fact in fresh.items() if (reason := self._refusal(fact, sources))}
            accepted = [fact for key, fact in fresh.items() if key not in refused]
            kept = await _store(connection, person, accepted, namespace) if accepted else []
        return Learned(tuple(kept), tuple(refused.items()))

    @unit_of_work
    async def close(self, person: str, key: str, *, namespace: str = "") -> bool:
        """End a fact's validity; return whether it was valid."""
        async with self._database.write() as connection:
            live = await _live(connection, person, [key], namespace)
            for fact in live.values():
                await _close(connection, fact.id, datetime.now(UTC), None)
        return bool(live)

    @unit_of_work
    async def mentioning(self, person: str, what: str, *, namespace: str | None = None) -> list[Fact]:
        """Return the facts whose key or value mentions ``what``, oldest first.

        Older values of a key are included unless its valid value is.

        Args:
            person: the person's id.
            what: whole words, in any case, with or without accents; parts of words in scripts without spaces.
            namespace: the namespace; None: all of them.
        """
        async with self._database.read() as connection:
            held = await _all(connection, person)
        return [one.fact for one in _mentioning(held, what) if namespace in (None, one.namespace)]

    @unit_of_work
    async def delete(self, person: str, facts: Sequence[str]) -> list[Fact]:
        """Delete facts by id, a valid one with its older values; return those that existed."""
        async with self._database.write() as connection:
            held = await _all(connection, person)
            meant = [one for one in held if one.fact.id in facts]
            await _delete(connection, person, held, meant)
        return [one.fact for one in meant]

    @unit_of_work
    async def forget(self, person: str, what: str | None, *, namespace: str | None = None) -> int:
        """Delete the facts that mention ``what``, as ``mentioning`` and ``delete`` do; return the number of rows.

        Args:
            person: the person's id.
            what: words to look for; None: delete all facts.
            namespace: the namespace; None: all of them.
        """
        async with self._database.write() as connection:
            if what is None:
                return (await connection.execute(delete(StoredFact).where(*_of(person, namespace)))).rowcount
            held = await _all(connection, person)
            meant = [one for one in _mentioning(held, what) if namespace in (None, one.namespace)]
            return await _delete(connection, person, held, meant)

    @unit_of_work
    async def show(self, person: str, facts: Sequence[str]) -> None:
        """Store the ids of the numbered list that the person was shown."""
        listed = {"facts": list(facts), "at": datetime.now(UTC).isoformat()}
        async with self._database.write() as connection:
            await connection.execute(update(Person).where(Person.id == person).values(listed_facts=listed))

    @unit_of_work
    async def shown(self, person: str) -> list[str]:
        """Return the ids of the list that the person was shown within the last hour."""
        statement = select(Person.listed_facts).where(Person.id == person)
        async with self._database.read() as connection:
            found = (await connection.execute(statement)).scalar_one_or_none()
        if not found or abs(datetime.now(UTC) - datetime.fromisoformat(found["at"])) >= LIST_LIFETIME:
            return []
        return list(found["facts"])

    @unit_of_work
    async def namespaces(self, person: str) -> list[str]:
        """Return the namespaces with valid facts."""
        statement = select(StoredFact.namespace).where(*_of(person, None), _IS_LIVE).distinct()
        async with self._database.read() as connection:
            return sorted((await connection.execute(statement)).scalars())

    def _refusal(self, fact: NewFact, sources: dict[str, str]) -> str | None:
        if fact.source_message is None:
            return self._rules.refusal(fact)
        if fact.source_message not in sources:
            return "its message is gone"
        return self._rules.refusal(fact, sources[fact.source_message])


@dataclass(frozen=True, slots=True)
class _Held:
    """A fact with its namespace."""

    namespace: str
    fact: Fact

    @property
    def name(self) -> tuple[str, str]:
        return self.namespace, self.fact.key


def _of(person: str, namespace: str | None) -> list[ColumnElement[bool]]:
    of_person: list[ColumnElement[bool]] = [StoredFact.person_id == person]
    return of_person if namespace is None else [*of_person, StoredFact.namespace == namespace]


async def _all(connection: TenantConnection, person: str) -> list[_Held]:
    """Return all present and past facts of a person, oldest first."""
    statement = select(StoredFact.namespace, *_COLUMNS).where(*_of(person, None)).order_by(StoredFact.id)
    return [_Held(row[0], Fact(*row[1:])) for row in await connection.execute(statement)]


def _mentioning(held: Sequence[_Held], what: str) -> list[_Held]:
    """Return the facts that mention ``what``; older values only where the valid one does not."""
    is_meant = mentioning(what)
    found = [one for one in held if is_meant and is_meant(one.fact.key, one.fact.value)]
    live = {one.name for one in found if one.fact.valid_to is None}
    return [one for one in found if one.fact.valid_to is None or one.name not in live]


async def _delete(connection: TenantConnection, person: str, held: Sequence[_Held], meant: Sequence[_Held]) -> int:
    """Delete facts, and the older values of those that are valid; return the number of rows."""
    live = {one.name for one in meant if one.fact.valid_to is None}
    ids = {one.fact.id for one in meant} | {one.fact.id for one in held if one.name in live}
    these = *_of(person, None), StoredFact.id.in_(sorted(ids))
    return (await connection.execute(delete(StoredFact).where(*these))).rowcount


async def _sources(connection: TenantConnection, person: str, facts: Iterable[NewFact]) -> dict[str, str]:
    """Return the texts of the person's messages that facts come from, without deleted ones."""
    wanted = sorted({fact.source_message for fact in facts if fact.source_message})
    if not wanted:
        return {}
    columns: tuple[Any, ...] = (Message.id, Message.text)
    statement = select(*columns).where(Message.id.in_(wanted), Message.person_id == person)
    return {row.id: row.text for row in await connection.execute(statement)}


async def _live(connection: TenantConnection, person: str, keys: list[str], namespace: str) -> dict[str, Fact]:
    statement = select(*_COLUMNS).where(*_of(person, namespace), StoredFact.key.in_(keys), _IS_LIVE)
    return {fact.key: fact for fact in (Fact(*row) for row in await connection.execute(statement))}


async def _close(connection: TenantConnection, fact: str, now: datetime, successor: str | None) -> None:
    closed = {"valid_to": now, "superseded_by": successor}
    await connection.execute(update(StoredFact).where(StoredFact.id == fact, _IS_LIVE).values(closed))


async def _store(connection: TenantConnection, person: str, facts: list[NewFact], namespace: str) -> list[Fact]:
    now = datetime.now(UTC)
    live = await _live(connection, person, [fact.key for fact in facts], namespace)
    kept: list[Fact] = []
    for fact in facts:
        old = live.get(fact.key)
        if old and old.value == fact.value and old.data == fact.data:
            kept.append(old)
            continue
        id_ = str(uuid7())
        row = {
            "id": id_,
            "person_id": person,
            "namespace": namespace,
            "key": fact.key,
            "value": fact.value,
            "data": fact.data,
            "category": fact.category,
            "confidence": fact.confidence,
            "source_message_id": fact.source_message,
            "valid_from": now,
        }
        if old:
            await _close(connection, old.id, now, id_)
        await connection.execute(insert(StoredFact), row)
        source = fact.source_message
        kept.append(Fact(id_, fact.key, fact.value, fact.category, fact.confidence, source, now, data=fact.data))
    return kept
