"""Sessions of operators in browsers: begun by a log-in, ended by time, by logging out or by a change of the account."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_urlsafe
from typing import Any

from sqlalchemy import Select, delete, insert, or_, select, update

from qwendesk.desk.operators.accounts import OPERATOR_COLUMNS, OperatorRecord
from qwendesk.memory.tables.operators import Operator, OperatorSession
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

_SECOND_FACTOR_LIFETIME = timedelta(minutes=10)
"""Time in which the second factor has to be given."""
_SEEN_INTERVAL = timedelta(seconds=45)
"""Time between two notes that a session is in use, so that not every request writes."""
_COLUMNS: tuple[Any, ...] = (
    OperatorSession.id,
    OperatorSession.csrf_token,
    OperatorSession.needs_totp,
    OperatorSession.created_at,
    OperatorSession.seen_at,
    OperatorSession.expires_at,
)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A session that has not expired, and its operator."""

    operator: OperatorRecord
    id: str
    csrf_token: str
    """Token that each changing request of the session carries."""
    needs_totp: bool
    """Whether the second factor has yet to be given, before which nothing is shown."""
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class OperatorSessions:
    """The sessions of one tenant's operators.

    Args:
        database: the tenant's view of the database.
        lifetime: time after which a session ends.
        idle: time without a request after which a session ends.
    """

    def __init__(self, database: TenantDatabase, lifetime: timedelta, idle: timedelta) -> None:
        self._database = database
        self._lifetime = lifetime
        self._idle = idle

    async def begin(self, connection: TenantConnection, operator: str, *, needs_totp: bool) -> str:
        """Begin a session in the transaction of a log-in; return the token for the cookie, which is not stored."""
        token, now = token_urlsafe(32), datetime.now(UTC)
        row = {
            "id": digest(token),
            "operator_id": operator,
            "csrf_token": token_urlsafe(24),
            "needs_totp": needs_totp,
            "created_at": now,
            "seen_at": now,
            "expires_at": now + (_SECOND_FACTOR_LIFETIME if needs_totp else self._lifetime),
        }
        await connection.execute(insert(OperatorSession), row)
        return token

    async def find(self, token: str) -> SessionRecord | None:
        """Return the session of a cookie's token; None if it has ended or its operator is disabled."""
        async with self._database.read() as connection:
            row = (await connection.execute(self._open(OperatorSession.id == digest(token)))).one_or_none()
        return _session(row) if row else None

    async def of(self, operator: str) -> list[SessionRecord]:
        """Return an operator's open sessions, the one used last first."""
        statement = self._open(OperatorSession.operator_id == operator).order_by(OperatorSession.seen_at.desc())
        async with self._database.read() as connection:
            return [_session(row) for row in await connection.execute(statement)]

    async def note_use(self, session: SessionRecord, *, is_background: bool = False) -> None:
        """Note that a session and its operator are active, unless that was noted just before.

        Args:
            session: the session.
            is_background: whether an open page has asked by itself: its operator is online, but the session is idle.
        """
        now = datetime.now(UTC)
        noted = session.operator.seen_at if is_background else min(session.seen_at, session.operator.seen_at or now)
        if noted is None or session.operator.seen_at is None or now - noted > _SEEN_INTERVAL:
            await self._note_use(session, now, is_background)

    @unit_of_work
    async def _note_use(self, session: SessionRecord, now: datetime, is_background: bool) -> None:
        async with self._database.write() as connection:
            if not is_background:
                mine = OperatorSession.id == session.id
                await connection.execute(update(OperatorSession).where(mine).values(seen_at=now))
            who = Operator.id == session.operator.id
            await connection.execute(update(Operator).where(who).values(seen_at=now))

    @unit_of_work
    async def end(self, id_: str) -> None:
        """End a session."""
        async with self._database.write() as connection:
            await connection.execute(delete(OperatorSession).where(OperatorSession.id == id_))

    @unit_of_work
    async def end_all(self, operator: str) -> int:
        """End all sessions of an operator; return their number."""
        statement = delete(OperatorSession).where(OperatorSession.operator_id == operator)
        async with self._database.write() as connection:
            return int((await connection.execute(statement)).rowcount)

    @unit_of_work
    async def prune(self) -> int:
        """Delete sessions that have expired; return their number."""
        now = datetime.now(UTC)
        over = or_(OperatorSession.expires_at < now, OperatorSession.seen_at < now - self._idle)
        async with self._database.write() as connection:
            return int((await connection.execute(delete(OperatorSession).where(over))).rowcount)

    def _open(self, condition: Any) -> Select[Any]:
        now = datetime.now(UTC)
        # a session from the future was begun before the clock was set back
        valid = OperatorSession.expires_at.between(now, now + self._lifetime)
        used = OperatorSession.seen_at > now - self._idle
        statement = select(*_COLUMNS, *OPERATOR_COLUMNS).join(Operator, Operator.id == OperatorSession.operator_id)
        return statement.where(condition, valid, used, Operator.disabled_at.is_(None))


def digest(token: str) -> str:
    """Return the id of the session with a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _session(row: Sequence[Any]) -> SessionRecord:
    of_session, of_operator = row[: len(_COLUMNS)], row[len(_COLUMNS) :]
    return SessionRecord(OperatorRecord(*of_operator), *of_session)
