"""Access requests of people on channels, and the decisions on them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, delete, or_, select, update
from uuid_utils import uuid7

from qwendesk.memory.database import upsert
from qwendesk.memory.tables.inbox import Access
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work
from qwendesk.messages import Inbound

AccessRole = Literal["person", "operator", "owner"]
AccessState = Literal["waiting", "allowed", "denied"]
MAX_CODE_LIFETIME = timedelta(hours=2)
"""A code that expires later was made before the system's clock was set back, and is not valid."""
_COLUMNS: tuple[Any, ...] = (
    Access.channel,
    Access.account,
    Access.person,
    Access.display_name,
    Access.state,
    Access.role,
    Access.code,
    Access.expires_at,
)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """A person's request for access on a channel, and the decision on it."""

    channel: str
    account: str
    person: str
    display_name: str
    state: AccessState
    role: AccessRole
    code: str | None
    expires_at: datetime | None


class AccessRepository:
    """The access requests of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def find(self, channel: str, account: str, person: str) -> AccessRequest | None:
        """Return a person's request; a decision for all accounts of the channel applies to each account."""
        async with self._database.read() as connection:
            rows = await connection.execute(_requests_of(channel, account, person))
            found = [AccessRequest(*row) for row in rows]
        decided = [request for request in found if request.state != "waiting"]
        return next(iter(decided or found), None)

    @unit_of_work
    async def request(self, inbound: Inbound, code: str, expires_at: datetime) -> str:
        """Store the request of a message's person and return the valid code: an earlier one, or ``code``."""
        now = datetime.now(UTC)
        row = {
            "id": str(uuid7()),
            "channel": inbound.channel,
            "account": inbound.account,
            "person": inbound.person,
            "display_name": inbound.display_name,
            "state": "waiting",
            "code": code,
            "expires_at": expires_at,
            "created_at": now,
        }
        statement = upsert(self._database.dialect, Access)
        statement = statement.on_conflict_do_update(
            index_elements=["tenant_id", "channel", "account", "person"],
            set_={name: getattr(statement.excluded, name) for name in ("code", "expires_at", "display_name")},
            # of two concurrent requests the first code stays valid
            where=or_(Access.expires_at.is_(None), ~_is_valid(now)),
        )
        async with self._database.write() as connection:
            await connection.execute(statement, row)
            stored = _requests_of(inbound.channel, inbound.account, inbound.person)
            return str((await connection.execute(stored)).first().code)  # type: ignore[union-attr]

    async def requests(self, state: AccessState | None = None) -> list[AccessRequest]:
        """Return the requests, newest first; with ``state`` only those in that state."""
        statement = select(*_COLUMNS).order_by(Access.created_at.desc(), Access.id.desc())
        if state:
            statement = statement.where(Access.state == state)
        async with self._database.read() as connection:
            return [AccessRequest(*row) for row in await connection.execute(statement)]

    @unit_of_work
    async def decide(self, name: str, state: AccessState, role: AccessRole = "person") -> AccessRequest | None:
        """Allow or deny a person by a valid code or ``CHANNEL:PERSON``; None if no request has this code.

        A person named by ``CHANNEL:PERSON`` need not have requested access; the decision applies to all accounts of
        the channel.
        """
        by_code = (Access.code == name.strip().upper()) & _is_valid(datetime.now(UTC))
        channel, colon, person = name.strip().partition(":")
        by_name = (Access.channel == channel) & (Access.person == person)
        decision = {"state": state, "role": role, "code": None, "expires_at": None}
        statement = update(Access).where(or_(by_code, by_name)).values(**decision).returning(*_COLUMNS)
        async with self._database.write() as connection:
            rows = (await connection.execute(statement)).all()
            if not rows and not (channel and person):
                return None
            if colon and not any(row.account == "" for row in rows):
                display_name = rows[0].display_name if rows else ""
                place = {"channel": channel, "account": "", "person": person, "display_name": display_name}
                row: dict[str, Any] = {"id": str(uuid7()), **place, **decision, "created_at": datetime.now(UTC)}
                added = upsert(self._database.dialect, Access).returning(*_COLUMNS)
                rows = (await connection.execute(added, row)).all()
        return AccessRequest(*rows[0])

    @unit_of_work
    async def prune(self, before: datetime) -> None:
        """Delete undecided requests whose code expired before then."""
        async with self._database.write() as connection:
            await connection.execute(delete(Access).where(Access.state == "waiting", Access.expires_at < before))


def _is_valid(now: datetime) -> ColumnElement[bool]:
    return Access.expires_at.between(now, now + MAX_CODE_LIFETIME)


def _requests_of(channel: str, account: str, person: str) -> Select[Any]:
    """Select a person's requests on an account and on all accounts, the account's own first."""
    here = (Access.channel == channel) & (Access.person == person)
    either = or_(Access.account == account, Access.account == "")
    return select(*_COLUMNS).where(here, either).order_by(Access.account.desc())
