"""Logging in: the password, then the second factor where the operator has one; each try counts for the lock-out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, select, update

from qwendesk.desk.operators.audit import AuditActor, add_entry
from qwendesk.desk.operators.lockout import LockOut, Try
from qwendesk.desk.operators.names import login_name
from qwendesk.desk.operators.passwords import Passwords
from qwendesk.desk.operators.sessions import OperatorSessions, SessionRecord
from qwendesk.desk.operators.totp import SecondFactor
from qwendesk.errors import InputError
from qwendesk.memory.tables.operators import Operator, OperatorSession
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session that has begun."""

    token: str
    """For the browser's cookie."""
    needs_totp: bool
    """Whether the second factor is still missing."""


class LogIn:
    """Checks passwords and codes, and begins sessions.

    The answer to a wrong password, an unknown name, a locked and a disabled account is the same, and takes as long.

    Args:
        database: the tenant's view of the database.
        passwords: compares passwords with their hashes.
        sessions: begins sessions.
        lockout: counts tries.
    """

    def __init__(
        self, database: TenantDatabase, passwords: Passwords, sessions: OperatorSessions, lockout: LockOut
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._sessions = sessions
        self._lockout = lockout

    @unit_of_work
    async def with_password(self, name: str, password: str, address: str | None) -> LoggedIn | None:
        """Begin a session; None if name and password do not match, or the account is locked or disabled."""
        try:
            known = login_name(name)
        except InputError:
            known = ""
        condition = Operator.name == known
        counted, is_right = await self._check(condition, password)
        async with self._database.write() as connection:
            by = await _actor(connection, condition, address)
            if counted is None or not is_right:
                await add_entry(connection, by, "login.refused", _subject(by), {"factor": "password"})
                return None
            if counted.is_totp_confirmed:
                await self._lockout.take_back(connection, counted)
                token = await self._sessions.begin(connection, counted.operator, needs_totp=True)
                return LoggedIn(token, needs_totp=True)
            return await self._begin(connection, counted, by, password)

    @unit_of_work
    async def with_code(self, session: SessionRecord, code: str, address: str | None) -> LoggedIn | None:
        """Replace a session that needs the second factor by a full one; None if the code is not valid."""
        condition = Operator.id == session.operator.id
        async with self._database.write() as connection:
            counted = await self._lockout.begin_try(connection, condition)
            by = await _actor(connection, condition, address)
            step = _step(counted, code)
            if counted is None or step is None:
                await add_entry(connection, by, "login.refused", _subject(by), {"factor": "code"})
                return None
            # the count of the try locks the account's row, so that no other request uses the code meanwhile
            used = update(Operator).where(Operator.id == counted.operator).values(totp_last_step=step)
            await connection.execute(used)
            pending = OperatorSession.id == session.id, OperatorSession.needs_totp
            if not (await connection.execute(delete(OperatorSession).where(*pending))).rowcount:
                return None  # the password was changed, or another request has used the session
            return await self._begin(connection, counted, by)

    @unit_of_work
    async def confirm_password(self, operator: str, password: str) -> bool:
        """Return whether a password is the one of a logged-in operator, who is about to change something important."""
        counted, is_right = await self._check(Operator.id == operator, password)
        if counted is None or not is_right:
            return False
        async with self._database.write() as connection:
            await self._lockout.take_back(connection, counted)
        return True

    async def _check(self, condition: Any, password: str) -> tuple[Try | None, bool]:
        async with self._database.write() as connection:
            counted = await self._lockout.begin_try(connection, condition)
        return counted, await self._passwords.verify(password, counted.password_hash if counted else None)

    async def _begin(
        self, connection: TenantConnection, counted: Try, by: AuditActor, password: str | None = None
    ) -> LoggedIn | None:
        if not await self._lockout.forgive(connection, counted):
            return None
        if password is not None and self._passwords.needs_rehash(counted.password_hash):
            renewed = {"password_hash": await self._passwords.hash(password)}
            await connection.execute(update(Operator).where(Operator.id == counted.operator).values(**renewed))
        await add_entry(connection, by, "login", _subject(by))
        return LoggedIn(await self._sessions.begin(connection, counted.operator, needs_totp=False), needs_totp=False)


def _step(counted: Try | None, code: str) -> int | None:
    if counted is None or not counted.is_totp_confirmed or counted.totp_secret is None:
        return None
    return SecondFactor(counted.totp_secret, counted.totp_last_step).step_of(code)


async def _actor(connection: TenantConnection, condition: Any, address: str | None) -> AuditActor:
    """Return who tries to log in; an unknown name is not stored, since it may be a password in the wrong field."""
    row = (await connection.execute(select(Operator.id, Operator.name).where(condition))).one_or_none()
    by = AuditActor(None, "", address)
    return replace(by, id=row.id, name=row.name) if row else by


def _subject(by: AuditActor) -> str:
    return f"operator:{by.name}" if by.name else "operator"
