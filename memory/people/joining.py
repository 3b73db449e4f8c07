"""Make two people one: names, messages, facts and documents of the one go to the other."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Delete, Select, Table, Update, bindparam, delete, select, update

from qwendesk.memory.audit import record
from qwendesk.memory.documents import move_documents
from qwendesk.memory.tables.conversations import Base, Person
from qwendesk.memory.tables.documents import KbDocument
from qwendesk.memory.tables.facts import StoredFact
from qwendesk.memory.tenancy import TenantConnection


async def join(connection: TenantConnection, *, into: str, person: str) -> None:
    """Move all that ``person`` has; of two facts with one key the newer holds and the older is closed."""
    wishes = (await connection.execute(_wishes(), {"both": [into, person]})).scalars().all()
    await _close_doubles(connection, into, person)
    move = {"of_person": person, "into": into}
    documents = await move_documents(connection, into=into, person=person)
    counts = {table.name: (await connection.execute(_move(table), move)).rowcount for table in _tables()}
    counts[KbDocument.__tablename__] = documents
    await connection.execute(_set_wish(), {"of_person": into, "wish": all(wishes)})
    await connection.execute(_remove(), {"of_person": person})
    await record(connection, "link", into, counts)


async def _close_doubles(connection: TenantConnection, into: str, person: str) -> None:
    rows = (await connection.execute(_live(), {"both": [into, person]})).all()
    newest: dict[tuple[str, str], str] = {}
    for row in rows:
        successor = newest.setdefault((row.namespace, row.key), row.id)
        if successor != row.id:
            await connection.execute(_close(), {"fact": row.id, "now": datetime.now(UTC), "successor": successor})


@cache
def _wishes() -> Select[Any]:
    # held, so that nothing can be added to the one that goes
    both = select(Person.remembers).where(Person.id.in_(bindparam("both", expanding=True)))
    return both.order_by(Person.id).with_for_update()


@cache
def _live() -> Select[Any]:
    both = StoredFact.person_id.in_(bindparam("both", expanding=True))
    newest = StoredFact.id.desc()
    columns: tuple[Any, ...] = (StoredFact.id, StoredFact.namespace, StoredFact.key)
    return select(*columns).where(both, StoredFact.valid_to.is_(None)).order_by(newest)


@cache
def _close() -> Update:
    values: dict[str, Any] = {"valid_to": bindparam("now"), "superseded_by": bindparam("successor")}
    return update(StoredFact).where(StoredFact.id == bindparam("fact")).values(values)


def _tables() -> list[Table]:
    """Return every table that says whose its rows are; documents are moved with what was made of them."""
    named = (table for table in Base.metadata.sorted_tables if table.name != KbDocument.__tablename__)
    return [table for table in named if "person_id" in table.c]


@cache
def _move(table: Table) -> Update:
    return update(table).where(table.c.person_id == bindparam("of_person")).values(person_id=bindparam("into"))


@cache
def _set_wish() -> Update:
    return update(Person).where(Person.id == bindparam("of_person")).values(remembers=bindparam("wish"))


@cache
def _remove() -> Delete:
    return delete(Person).where(Person.id == bindparam("of_person"))
