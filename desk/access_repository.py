"""Who asked to talk with the desk on which channel, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, Delete, Select, bindparam, delete, or_, select, update
from uuid_utils import uuid7

from qwendesk.desk.inbox.statements import upsert
from qwendesk.memory.tables.inbox import Access
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Inbound, storable

GuestRole = Literal["person", "operator", "owner"]
GuestState = Literal["waiting", "allowed", "denied"]
LONGEST = timedelta(hours=2)
"""How long a code may hold at most, whoever made it."""
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
class Guest:
    """Somebody who asked."""

    channel: str
    account: str
    person: str
    display_name: str
    state: GuestState
    role: GuestRole
    code: str | None
    expires_at: datetime | None


class Guestbook:
    """Keeps who asked one tenant's desk."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def find(self, channel: str, account: str, person: str) -> Guest | None:
        """Return what is known of somebody; what was decided for all accounts of the channel holds for each."""
        values = {"of_channel": channel, "of_account": account, "of_person": person}
        async with self._database.read() as connection:
            found = [Guest(*row) for row in await connection.execute(_guest(), values)]
        decided = [guest for guest in found if guest.state != "waiting"]
        return next(iter(decided or found), None)

    async def ask(self, inbound: Inbound, code: str, expires_at: datetime) -> str:
        """Write down that somebody asks and return the code that holds."""
        return await self._database.shield(self._ask(inbound, code, expires_at))

    async def guests(self, state: GuestState | None = None) -> list[Guest]:
        """Return those who asked, newest first; those only who wait, are allowed or denied."""
        statement = select(*_COLUMNS).order_by(Access.created_at.desc(), Access.id.desc())
        if state:
            statement = statement.where(Access.state == state)
        async with self._database.read() as connection:
            return [Guest(*row) for row in await connection.execute(statement)]

    async def decide(self, name: str, state: GuestState, role: GuestRole = "person") -> Guest | None:
        """Allow or deny the one with a code that holds, or ``CHANNEL:PERSON``; None where there is no such code.

        A name need not have been heard of; what is decided for it holds on all accounts of the channel.
        """
        return await self._database.shield(self._decide(name, state, role))

    async def _ask(self, inbound: Inbound, code: str, expires_at: datetime) -> str:
        now = datetime.now(UTC)
        row = {
            "id": str(uuid7()),
            "channel": inbound.channel,
            "account": inbound.account,
            "person": inbound.person,
            "display_name": storable(inbound.display_name),
            "state": "waiting",
            "code": code,
            "expires_at": expires_at,
            "created_at": now,
        }
        statement = upsert(self._database.dialect, Access)
        statement = statement.on_conflict_do_update(
            index_elements=["tenant_id", "channel", "account", "person"],
            set_={name: getattr(statement.excluded, name) for name in ("code", "expires_at", "display_name")},
            # asked twice at once, the first code holds
            where=or_(Access.expires_at.is_(None), ~_holds(now)),
        )
        async with self._database.write() as connection:
            await connection.execute(statement, row)
            values = {"of_channel": inbound.channel, "of_account": inbound.account, "of_person": inbound.person}
            return str((await connection.execute(_guest(), values)).first().code)  # type: ignore[union-attr]

    async def _decide(self, name: str, state: GuestState, role: GuestRole) -> Guest | None:
        by_code = (Access.code == name.strip().upper()) & _holds(datetime.now(UTC))
        channel, colon, person = name.strip().partition(":")
        by_name = (Access.channel == channel) & (Access.person == person)
        decision = {"state": state, "role": role, "code": None, "expires_at": None}
        statement = update(Access).where(or_(by_code, by_name)).values(**decision).returning(*_COLUMNS)
        async with self._database.write() as connection:
            rows = (await connection.execute(statement)).all()
            if not rows and not (channel and person):
                return None
            if colon and not any(row.account == "" for row in rows):
                called = rows[0].display_name if rows else ""
                place = {"channel": channel, "account": "", "person": person, "display_name": called}
                row: dict[str, Any] = {"id": str(uuid7()), **place, **decision, "created_at": datetime.now(UTC)}
                added = upsert(self._database.dialect, Access).returning(*_COLUMNS)
                rows = (await connection.execute(added, row)).all()
        return Guest(*rows[0])

    async def forget(self, before: datetime) -> None:
        """Forget strangers whose code ran out before then."""
        await self._database.shield(self._forget_strangers({"before": before}))

    async def _forget_strangers(self, values: dict[str, Any]) -> None:
        async with self._database.write() as connection:
            await connection.execute(_forget(), values)


def _holds(now: datetime) -> ColumnElement[bool]:
    """Tell whether a code holds; one that would hold for longer was made before the clock was set back."""
    return Access.expires_at.between(now, now + LONGEST)


@cache
def _guest() -> Select[Any]:
    here = (Access.channel == bindparam("of_channel")) & (Access.person == bindparam("of_person"))
    either = or_(Access.account == bindparam("of_account"), Access.account == "")
    return select(*_COLUMNS).where(here, either).order_by(Access.account.desc())  # the account's own comes first


@cache
def _forget() -> Delete:
    return delete(Access).where(Access.state == "waiting", Access.expires_at < bindparam("before"))
