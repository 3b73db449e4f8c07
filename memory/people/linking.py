"""Join two channels into one person: a code that both sides enter."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from uuid_utils import uuid7

from qwendesk.memory.people import statements
from qwendesk.memory.people.joining import join
from qwendesk.memory.people.records import Code, Linked
from qwendesk.memory.tenancy import TenantConnection

_LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
"""Without those that are taken for one another."""
_LENGTH = 10
"""Fifty bits: nobody guesses one within its time."""
LASTS = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Side:
    """One channel's name of a person."""

    identity: str
    person: str


async def new_code(connection: TenantConnection, side: Side) -> Code:
    """Make a code; only its digest is kept."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH))
    now = datetime.now(UTC)
    await connection.execute(statements.void_codes(), {"owner": side.identity, "now": now})
    row = {
        "id": str(uuid7()),
        "digest": _digest(code),
        "owner_id": side.identity,
        "other_id": None,
        "owner_entered": False,
        "expires_at": now + LASTS,
    }
    await connection.execute(statements.add_code(), row)
    return Code(f"{code[:5]}-{code[5:]}", now + LASTS)


async def enter(connection: TenantConnection, code: str, side: Side) -> Linked:
    """Take a code from one side."""
    now = datetime.now(UTC)
    values = {"of_digest": _digest(code), "now": now, "latest": now + 2 * LASTS}
    found = (await connection.execute(statements.code(), values)).one_or_none()
    if found is None:
        return "unknown"
    if side.identity == found.owner_id:
        return await _from_owner(connection, found)
    return await _from_other(connection, found, side)


async def _from_owner(connection: TenantConnection, found: Any) -> Linked:
    if found.other_id is None:
        await _keep(connection, found.id, None, True)
        return "waiting"
    return await _joined(connection, found.id, found.owner_person, found.other_person)


async def _from_other(connection: TenantConnection, found: Any, side: Side) -> Linked:
    if side.person == found.owner_person:
        await connection.execute(statements.delete_code(), {"of_id": found.id})
        return "same"
    if found.other_id not in (None, side.identity):
        # a third side has it too: it has leaked, so it is void
        await connection.execute(statements.delete_code(), {"of_id": found.id})
        return "unknown"
    if found.owner_entered:
        return await _joined(connection, found.id, found.owner_person, side.person)
    await _keep(connection, found.id, side.identity, False)
    return "half"


async def _joined(connection: TenantConnection, code: str, owner: str, other: str) -> Linked:
    await connection.execute(statements.delete_code(), {"of_id": code})
    if owner == other:
        return "same"
    await join(connection, into=min(owner, other), person=max(owner, other))
    return "joined"


async def _keep(connection: TenantConnection, code: str, other: str | None, entered: bool) -> None:
    await connection.execute(statements.enter_code(), {"of_id": code, "other": other, "entered": entered})


def _digest(code: str) -> str:
    plain = "".join(sign for sign in code.upper() if sign in _LETTERS)
    return hashlib.sha256(plain.encode()).hexdigest()
