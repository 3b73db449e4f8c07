"""Who asked to talk with the desk on which channel, and what was decided."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import or_, select, update
from uuid_utils import uuid7

from qwendesk.memory.database import Database
from qwendesk.memory.desk_tables import Access
from qwendesk.memory.inbox_statements import upsert
from qwendesk.messages import Inbound

GuestRole = Literal["person", "operator", "owner"]
GuestState = Literal["waiting", "allowed", "denied"]
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
    """Keeps who asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, channel: str, account: str, person: str) -> Guest | None:
        """Return what is known of somebody."""
        here = (Access.channel == channel) & (Access.account == account) & (Access.person == person)
        async with self._database.read() as connection:
            row = (await connection.execute(select(*_COLUMNS).where(here))).one_or_none()
        return Guest(*row) if row else None

    async def ask(self, inbound: Inbound, code: str, expires_at: datetime) -> str:
        """Write down that somebody asks and return the code that holds."""
        return await self._database.whole(self._ask(inbound, code, expires_at))

    async def guests(self, state: GuestState | None = None) -> list[Guest]:
        """Return those who asked, newest first; those only who wait, are allowed or denied."""
        statement = select(*_COLUMNS).order_by(Access.created_at.desc(), Access.id.desc())
        if state:
            statement = statement.where(Access.state == state)
        async with self._database.read() as connection:
            return [Guest(*row) for row in await connection.execute(statement)]

    async def decide(self, name: str, state: GuestState, role: GuestRole = "person") -> Guest | None:
        """Allow or deny the one with a code that holds, or of that name on a channel; None where there is none."""
        return await self._database.whole(self._decide(name, state, role))

    async def _ask(self, inbound: Inbound, code: str, expires_at: datetime) -> str:
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
        statement = upsert(self._database.engine.dialect.name, Access).values(row)
        statement = statement.on_conflict_do_update(
            index_elements=["channel", "account", "person"],
            set_={name: getattr(statement.excluded, name) for name in ("code", "expires_at", "display_name")},
            # asked twice at once, the first code holds
            where=or_(Access.expires_at.is_(None), Access.expires_at < now),
        )
        async with self._database.write() as connection:
            await connection.execute(statement)
            here = (Access.channel == inbound.channel) & (Access.account == inbound.account)
            found = await connection.execute(select(Access.code).where(here, Access.person == inbound.person))
            return str(found.scalar_one())

    async def _decide(self, name: str, state: GuestState, role: GuestRole) -> Guest | None:
        by_code = (Access.code == name.strip().upper()) & (Access.expires_at > datetime.now(UTC))
        channel, _, person = name.partition(":")
        by_name = (Access.channel == channel) & (Access.person == person)
        statement = (
            update(Access)
            .where(or_(by_code, by_name))
            .values(state=state, role=role, code=None, expires_at=None)
            .returning(*_COLUMNS)
        )
        async with self._database.write() as connection:
            row = (await connection.execute(statement)).first()
        return Guest(*row) if row else None
