"""Facts in a SQL database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from uuid_utils import uuid7

from qwendesk.memory.people import fact_statements
from qwendesk.memory.people.fact_rules import Rules, mentioning, tidy
from qwendesk.memory.people.records import UNWANTED, Fact, Learned, NewFact
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

_LASTS = timedelta(hours=1)
"""How long the numbers of a list hold: later, nobody has it before their eyes."""


class Facts:
    """Keeps facts beside the conversations of one tenant."""

    def __init__(self, database: TenantDatabase, rules: Rules) -> None:
        self._database = database
        self._rules = rules

    @unit_of_work
    async def known(self, person: str, *, namespace: str = "", limit: int = 200) -> list[Fact]:
        """Return the facts that hold now, newest first."""
        values = {"of_person": person, "of_namespace": namespace, "limit": limit}
        async with self._database.read() as connection:
            return [Fact(*row) for row in await connection.execute(fact_statements.known(), values)]

    @unit_of_work
    async def past(self, person: str, key: str, *, namespace: str = "") -> list[Fact]:
        """Return every value of a key there has been, newest first."""
        values = {"of_person": person, "of_namespace": namespace, "of_key": key}
        async with self._database.read() as connection:
            return [Fact(*row) for row in await connection.execute(fact_statements.past(), values)]

    @unit_of_work
    async def learn(self, person: str, facts: Sequence[NewFact], *, namespace: str = "") -> Learned:
        """Keep what the rules accept, in one transaction; a new value closes the old one.

        What comes from a message that has been deleted meanwhile, or about a person who wishes for none, is refused.
        """
        # the last one of a key is what the person said last
        fresh = {fact.key: fact for fact in (tidy(one, exact=bool(namespace)) for one in facts)}
        async with self._database.write() as connection:
            wish = (await connection.execute(fact_statements.wish(), {"of_person": person})).scalar_one_or_none()
            if not wish:
                why = "the person is not known" if wish is None else UNWANTED
                return Learned(refused=tuple((key, why) for key in fresh))
            sources = await _sources(connection, person, fresh.values())
            refused = {key: reason for key, fact in fresh.items() if (reason := self._refusal(fact, sources))}
            accepted = [fact for key, fact in fresh.items() if key not in refused]
            kept = await _store(connection, person, accepted, namespace) if accepted else []
        return Learned(tuple(kept), tuple(refused.items()))

    @unit_of_work
    async def close(self, person: str, key: str, *, namespace: str = "") -> bool:
        """Let a fact cease to hold; tell whether it did hold."""
        async with self._database.write() as connection:
            live = await _live(connection, person, [key], namespace)
            for fact in live.values():
                await _close(connection, fact.id, datetime.now(UTC), None)
        return bool(live)

    @unit_of_work
    async def mentioning(self, person: str, what: str, *, namespace: str | None = None) -> list[Fact]:
        """Return the facts whose key or value mentions ``what``, oldest first.

        Of a fact that ceased to hold, its older values are looked at too, unless the one that holds is among them.

        Args:
            person: the person's id.
            what: whole words, in any case, with accents or without; parts of words in scripts without spaces.
            namespace: the shelf; None: all shelves.
        """
        async with self._database.read() as connection:
            held = await _everything(connection, person)
        return [one.fact for one in _mentioning(held, what) if namespace in (None, one.namespace)]

    @unit_of_work
    async def delete(self, person: str, facts: Sequence[str]) -> list[Fact]:
        """Delete facts by id, one that holds with all its past; return those that were there."""
        async with self._database.write() as connection:
            held = await _everything(connection, person)
            meant = [one for one in held if one.fact.id in facts]
            await _delete(connection, person, held, meant)
        return [one.fact for one in meant]

    @unit_of_work
    async def forget(self, person: str, what: str | None, *, namespace: str | None = None) -> int:
        """Delete the facts that mention ``what`` (None: all), as ``mentioning`` and ``delete`` do; return how many."""
        async with self._database.write() as connection:
            if what is None:
                shelf: dict[str, Any] = {} if namespace is None else {"of_namespace": namespace}
                done = await connection.execute(
                    fact_statements.delete_all(namespace is not None), {"of_person": person} | shelf
                )
                return done.rowcount
            held = await _everything(connection, person)
            meant = [one for one in _mentioning(held, what) if namespace in (None, one.namespace)]
            return await _delete(connection, person, held, meant)

    @unit_of_work
    async def show(self, person: str, facts: Sequence[str]) -> None:
        """Keep which facts the person was shown as a numbered list."""
        shown = {"facts": list(facts), "at": datetime.now(UTC).isoformat()}
        async with self._database.write() as connection:
            await connection.execute(fact_statements.show(), {"of_person": person, "list": shown})

    @unit_of_work
    async def shown(self, person: str) -> list[str]:
        """Return the ids of the list that the person was shown last; none where that is more than an hour ago."""
        async with self._database.read() as connection:
            found = (await connection.execute(fact_statements.shown(), {"of_person": person})).scalar_one_or_none()
        if not found or abs(datetime.now(UTC) - datetime.fromisoformat(found["at"])) >= _LASTS:
            return []
        return list(found["facts"])

    @unit_of_work
    async def namespaces(self, person: str) -> list[str]:
        """Return the shelves that hold something now."""
        async with self._database.read() as connection:
            found = await connection.execute(fact_statements.namespaces(), {"of_person": person})
            return sorted(found.scalars())

    def _refusal(self, fact: NewFact, sources: dict[str, str]) -> str | None:
        if fact.source_message is None:
            return self._rules.refusal(fact)
        if fact.source_message not in sources:
            return "its message is gone"
        return self._rules.refusal(fact, sources[fact.source_message])


@dataclass(frozen=True, slots=True)
class _Held:
    """A fact and the shelf it stands on."""

    namespace: str
    fact: Fact

    @property
    def place(self) -> tuple[str, str]:
        return self.namespace, self.fact.key


async def _everything(connection: TenantConnection, person: str) -> list[_Held]:
    found = await connection.execute(fact_statements.everything(), {"of_person": person})
    return [_Held(row[0], Fact(*row[1:])) for row in found]


def _mentioning(held: Sequence[_Held], what: str) -> list[_Held]:
    """Return what mentions it; older values only where the one that holds does not."""
    is_meant = mentioning(what)
    found = [one for one in held if is_meant and is_meant(one.fact.key, one.fact.value)]
    live = {one.place for one in found if one.fact.valid_to is None}
    return [one for one in found if one.fact.valid_to is None or one.place not in live]


async def _delete(connection: TenantConnection, person: str, held: Sequence[_Held], meant: Sequence[_Held]) -> int:
    """Delete facts, with those that hold their past; return how many rows went."""
    live = {one.place for one in meant if one.fact.valid_to is None}
    ids = {one.fact.id for one in meant} | {one.fact.id for one in held if one.place in live}
    done = await connection.execute(fact_statements.delete_some(), {"of_person": person, "facts": sorted(ids)})
    return done.rowcount


async def _sources(connection: TenantConnection, person: str, facts: Iterable[NewFact]) -> dict[str, str]:
    """Return the texts of the messages the facts come from, those of this person that are still there."""
    wanted = sorted({fact.source_message for fact in facts if fact.source_message})
    if not wanted:
        return {}
    found = await connection.execute(fact_statements.sources(), {"messages": wanted, "of_person": person})
    return {row.id: row.text for row in found}


async def _live(connection: TenantConnection, person: str, keys: list[str], namespace: str) -> dict[str, Fact]:
    values = {"of_person": person, "of_namespace": namespace, "keys": keys}
    rows = await connection.execute(fact_statements.live_values(), values)
    return {fact.key: fact for fact in (Fact(*row) for row in rows)}


async def _close(connection: TenantConnection, fact: str, now: datetime, successor: str | None) -> None:
    await connection.execute(fact_statements.close(), {"fact": fact, "now": now, "successor": successor})


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
        await connection.execute(fact_statements.add(), new)
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
