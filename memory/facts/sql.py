"""Facts in a SQL database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from qwendesk.memory.facts import statements
from qwendesk.memory.facts.base import Fact, Facts, Learned, NewFact
from qwendesk.memory.facts.rules import Rules, tidy
from qwendesk.memory.scope import TenantConnection, TenantDatabase, unit_of_work


class SqlFacts(Facts):
    """Keeps facts beside the conversations of one tenant."""

    def __init__(self, database: TenantDatabase, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    @unit_of_work
    async def known(self, person: str, *, namespace: str = "", limit: int = 200) -> list[Fact]:
        """Read the live facts."""
        values = {"of_person": person, "of_namespace": namespace, "limit": limit}
        async with self._database.read() as connection:
            return [Fact(*row) for row in await connection.execute(statements.known(), values)]

    @unit_of_work
    async def past(self, person: str, key: str, *, namespace: str = "") -> list[Fact]:
        """Read all values of a key."""
        values = {"of_person": person, "of_namespace": namespace, "of_key": key}
        async with self._database.read() as connection:
            return [Fact(*row) for row in await connection.execute(statements.past(), values)]

    @unit_of_work
    async def learn(self, person: str, facts: Sequence[NewFact], *, namespace: str = "") -> Learned:
        """Check and store the facts."""
        # the last one of a key is what the person said last
        fresh = {fact.key: fact for fact in (tidy(one, exact=bool(namespace)) for one in facts)}
        async with self._database.write() as connection:
            wish = (await connection.execute(statements.wish(), {"of_person": person})).scalar_one_or_none()
            if not wish:
                why = "the person is not known" if wish is None else "the person does not want it"
                return Learned(refused=tuple((key, why) for key in fresh))
            sources = await _sources(connection, person, fresh.values())
            refused = {key: reason for key, fact in fresh.items() if (reason := self._refusal(fact, sources))}
            accepted = [fact for key, fact in fresh.items() if key not in refused]
            kept = await _store(connection, person, accepted, namespace) if accepted else []
        return Learned(tuple(kept), tuple(refused.items()))

    @unit_of_work
    async def close(self, person: str, key: str, *, namespace: str = "") -> bool:
        """Close the live value."""
        async with self._database.write() as connection:
            live = await _live(connection, person, [key], namespace)
            for fact in live.values():
                await _close(connection, fact.id, datetime.now(UTC), None)
        return bool(live)

    @unit_of_work
    async def forget(self, person: str, what: str | None, *, namespace: str | None = None) -> int:
        """Delete rows, those of the past included."""
        values: dict[str, Any] = {"of_person": person}
        async with self._database.write() as connection:
            if what is None:
                shelf: dict[str, Any] = {} if namespace is None else {"of_namespace": namespace}
                done = await connection.execute(statements.delete_all(namespace is not None), values | shelf)
                return done.rowcount
            held = (await connection.execute(statements.everything(), values)).all()
            found = {(on, key) for on, key, value in held if _mentions(what, key, value)}
            wanted = sorted((on, key) for on, key in found if namespace in (None, on))
            return sum([await _delete(connection, person, *one) for one in wanted])

    @unit_of_work
    async def namespaces(self, person: str) -> list[str]:
        """Read the shelves."""
        async with self._database.read() as connection:
            found = await connection.execute(statements.namespaces(), {"of_person": person})
            return sorted(found.scalars())

    def _refusal(self, fact: NewFact, sources: dict[str, str]) -> str | None:
        if fact.source_message is None:
            return self._rules.refusal(fact)
        if fact.source_message not in sources:
            return "its message is gone"
        return self._rules.refusal(fact, sources[fact.source_message])


def _mentions(what: str, key: str, value: str) -> bool:
    wanted = " ".join(what.casefold().split())
    return bool(wanted) and (wanted in key.casefold() or wanted in value.casefold())


async def _sources(connection: TenantConnection, person: str, facts: Iterable[NewFact]) -> dict[str, str]:
    """Return the texts of the messages the facts come from, those of this person that are still there."""
    wanted = sorted({fact.source_message for fact in facts if fact.source_message})
    if not wanted:
        return {}
    found = await connection.execute(statements.sources(), {"messages": wanted, "of_person": person})
    return {row.id: row.text for row in found}


async def _live(connection: TenantConnection, person: str, keys: list[str], namespace: str) -> dict[str, Fact]:
    values = {"of_person": person, "of_namespace": namespace, "keys": keys}
    rows = await connection.execute(statements.live_values(), values)
    return {fact.key: fact for fact in (Fact(*row) for row in rows)}


async def _close(connection: TenantConnection, fact: str, now: datetime, successor: str | None) -> None:
    await connection.execute(statements.close(), {"fact": fact, "now": now, "successor": successor})


async def _delete(connection: TenantConnection, person: str, namespace: str, key: str) -> int:
    values = {"of_person": person, "of_namespace": namespace, "keys": [key]}
    return (await connection.execute(statements.delete_keys(), values)).rowcount


async def _store(connection: TenantConnection, person: str, facts: list[NewFact], namespace: str) -> list[Fact]:
    now = datetime.now(UTC)
    live = await _live(connection, person, [fact.key for fact in facts], namespace)
    kept: list[Fact] = []
    for fact in facts:
        old = live.get(fact.key)
        if old and old.value == fact.value and old.data == fact.data:
            kept.append(old)
            continue
        new = _row(fact, person, namespace, now)
        if old:
            await _close(connection, old.id, now, new["id"])
        await connection.execute(statements.add(), new)
        kept.append(_fact(fact, new["id"], now))
    return kept


def _row(fact: NewFact, person: str, namespace: str, now: datetime) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
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


def _fact(fact: NewFact, id_: str, now: datetime) -> Fact:
    return Fact(id_, fact.key, fact.value, fact.category, fact.confidence, fact.source_message, now, data=fact.data)
