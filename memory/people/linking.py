"""Link two channels: both sides enter a code, and their two people are merged into one."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Row, Table, delete, insert, or_, select, update
from sqlalchemy.orm import aliased
from uuid_utils import uuid7

from qwendesk.memory.audit import add_audit_entry
from qwendesk.memory.documents import move_documents
from qwendesk.memory.people.personal_data import conversations_of
from qwendesk.memory.records import IssuedCode, Linked
from qwendesk.memory.tables.conversations import Base, Conversation, Person, PersonIdentity
from qwendesk.memory.tables.documents import KbDocument
from qwendesk.memory.tables.facts import LinkCode, StoredFact
from qwendesk.memory.tenancy import TenantConnection

CODE_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Characters of codes that people type, without those that look alike."""
_CODE_CHARS = 10
"""Fifty bits, which cannot be guessed within the code's lifetime."""
_LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Side:
    """An identity and its person."""

    identity: str
    person: str


async def new_code(connection: TenantConnection, side: Side) -> IssuedCode:
    """Create a code in place of the identity's earlier one; only its digest is stored."""
    code = "".join(secrets.choice(CODE_ALPHABET) for _ in range(_CODE_CHARS))
    now = datetime.now(UTC)
    await connection.execute(delete(LinkCode).where(or_(LinkCode.owner_id == side.identity, LinkCode.expires_at < now)))
    row = {
        "id": str(uuid7()),
        "digest": _digest(code),
        "owner_id": side.identity,
        "other_id": None,
        "owner_entered": False,
        "expires_at": now + _LIFETIME,
    }
    await connection.execute(insert(LinkCode), row)
    return IssuedCode(f"{code[:5]}-{code[5:]}", now + _LIFETIME)


async def enter(connection: TenantConnection, code: str, side: Side) -> Linked:
    """Enter a code on one side."""
    found = await _find(connection, code)
    if found is None:
        return "unknown"
    if side.identity == found.owner_id:
        if found.other_id is None:
            await _save(connection, found.id, other=None, owner_entered=True)
            return "waiting"
        return await _complete(connection, found.id, found.owner_person, found.other_person)
    if side.person == found.owner_person:
        await _delete(connection, found.id)
        return "same"
    if found.other_id not in (None, side.identity):
        # A third identity has the code, so it has leaked and is void.
        await _delete(connection, found.id)
        return "unknown"
    if found.owner_entered:
        return await _complete(connection, found.id, found.owner_person, side.person)
    await _save(connection, found.id, other=side.identity, owner_entered=False)
    return "half"


async def _find(connection: TenantConnection, code: str) -> Row[Any] | None:
    """Return a valid code with the people of its two sides, locked until the end of the transaction."""
    now = datetime.now(UTC)
    owner, other = aliased(PersonIdentity), aliased(PersonIdentity)
    columns: tuple[Any, ...] = (LinkCode.id, LinkCode.owner_id, LinkCode.other_id, LinkCode.owner_entered)
    people = (
        select(owner.person_id).where(owner.id == LinkCode.owner_id).scalar_subquery().label("owner_person"),
        select(other.person_id).where(other.id == LinkCode.other_id).scalar_subquery().label("other_person"),
    )
    # A code that would be valid for longer was created before the clock was set back, and has expired.
    is_valid = LinkCode.expires_at.between(now, now + 2 * _LIFETIME)
    statement = select(*columns, *people).where(LinkCode.digest == _digest(code), is_valid)
    return (await connection.execute(statement.with_for_update(of=LinkCode))).one_or_none()


async def _complete(connection: TenantConnection, code: str, owner: str, other: str) -> Linked:
    await _delete(connection, code)
    if owner == other:
        return "same"
    await merge(connection, into=min(owner, other), person=max(owner, other))
    return "joined"


async def _save(connection: TenantConnection, code: str, *, other: str | None, owner_entered: bool) -> None:
    values = {"other_id": other, "owner_entered": owner_entered}
    await connection.execute(update(LinkCode).where(LinkCode.id == code).values(values))


async def _delete(connection: TenantConnection, code: str) -> None:
    await connection.execute(delete(LinkCode).where(LinkCode.id == code))


def _digest(code: str) -> str:
    plain = "".join(char for char in code.upper() if char in CODE_ALPHABET)
    return hashlib.sha256(plain.encode()).hexdigest()


async def merge(connection: TenantConnection, *, into: str, person: str) -> None:
    """Move everything of a person to another; of two facts with one key the newer stays, the older is closed."""
    both = Person.id.in_([into, person])
    # Conversations come before people, as where a message is put into a ticket; the other order could deadlock.
    theirs = or_(conversations_of(into), conversations_of(person))
    conversations = select(Conversation.id).where(theirs).order_by(Conversation.id).with_for_update(key_share=True)
    await connection.execute(conversations)
    # Locked, so that nothing can be added to the person who is deleted.
    settings = select(Person.remembers).where(both).order_by(Person.id).with_for_update()
    remembers = all((await connection.execute(settings)).scalars().all())
    await _close_double_facts(connection, into, person)
    counts: dict[str, int] = {KbDocument.__tablename__: await move_documents(connection, into=into, person=person)}
    for table in _tables_of_people():
        move = update(table).where(table.c.person_id == person).values(person_id=into)
        counts[table.name] = (await connection.execute(move)).rowcount
    await connection.execute(update(Person).where(Person.id == into).values(remembers=remembers))
    await connection.execute(delete(Person).where(Person.id == person))
    await add_audit_entry(connection, "link", into, counts)


async def _close_double_facts(connection: TenantConnection, into: str, person: str) -> None:
    columns: tuple[Any, ...] = (StoredFact.id, StoredFact.namespace, StoredFact.key)
    live = StoredFact.person_id.in_([into, person]), StoredFact.valid_to.is_(None)
    newest: dict[tuple[str, str], str] = {}
    for id_, *key in (await connection.execute(select(*columns).where(*live).order_by(StoredFact.id.desc()))).all():
        successor = newest.setdefault((key[0], key[1]), id_)
        if successor != id_:
            closed = {"valid_to": datetime.now(UTC), "superseded_by": successor}
            await connection.execute(update(StoredFact).where(StoredFact.id == id_).values(closed))


def _tables_of_people() -> list[Table]:
    """Return the tables with a person, except that of documents, which are moved with their passages."""
    others = (table for table in Base.metadata.sorted_tables if table.name != KbDocument.__tablename__)
    return [table for table in others if "person_id" in table.c]
