"""Accounts of operators: who they are, their role, languages and teams, and whether they are online."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from sqlalchemy import Select, Update, delete, func, select, update
from uuid_utils import uuid7

from qwendesk.desk.operators.audit import AuditActor, Details, add_entry
from qwendesk.desk.operators.names import display_name_of, language_codes, login_name, team_names
from qwendesk.desk.operators.release import release_tickets
from qwendesk.errors import ConfigError, InputError, no_such
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.operators import Operator, OperatorSession
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

Role = Literal["viewer", "operator", "admin"]
"""``viewer`` reads, ``operator`` answers customers, ``admin`` manages accounts and reads the audit log, too."""
ROLES: tuple[Role, ...] = get_args(Role)
ONLINE = timedelta(minutes=2)
"""How long after the last sign of life an operator counts as online."""
OPERATOR_COLUMNS: tuple[Any, ...] = (
    Operator.id,
    Operator.name,
    Operator.display_name,
    Operator.role,
    Operator.languages,
    Operator.teams,
    Operator.is_totp_confirmed,
    Operator.is_available,
    Operator.failed_logins,
    Operator.locked_until,
    Operator.seen_at,
    Operator.disabled_at,
    Operator.created_at,
)


@dataclass(frozen=True, slots=True)
class OperatorRecord:
    """An account, without its secrets."""

    id: str
    name: str
    """The log-in name."""
    display_name: str
    """The name that customers see."""
    role: Role
    languages: Sequence[str]
    """Codes of the operator's languages, the preferred one first."""
    teams: Sequence[str]
    has_totp: bool
    """Whether a second factor is asked for."""
    is_available: bool
    """Whether the operator takes new tickets while online."""
    failed_logins: int
    locked_until: datetime | None
    seen_at: datetime | None
    disabled_at: datetime | None
    created_at: datetime

    def may(self, role: Role) -> bool:
        """Return whether the operator has a role or one above it."""
        return ROLES.index(self.role) >= ROLES.index(role)

    def is_locked(self) -> bool:
        """Return whether wrong passwords have locked the account for a while."""
        return self.locked_until is not None and self.locked_until > datetime.now(UTC)

    def is_online(self, now: datetime | None = None) -> bool:
        """Return whether the operator is at the desk."""
        since = (now or datetime.now(UTC)) - ONLINE
        return self.disabled_at is None and self.seen_at is not None and self.seen_at > since


class OperatorAccounts:
    """The accounts of one tenant. Each change is in the audit log, and ends sessions that have become invalid."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def exist(self) -> bool:
        """Return whether there is an account."""
        async with self._database.read() as connection:
            return (await connection.execute(select(Operator.id).limit(1))).first() is not None

    async def all(self) -> list[OperatorRecord]:
        """Return all accounts by log-in name, disabled ones last."""
        return await self._read(select(*OPERATOR_COLUMNS).order_by(Operator.disabled_at.is_not(None), Operator.name))

    async def get(self, id_: str) -> OperatorRecord | None:
        """Return an account; None if there is none with that id."""
        return next(iter(await self._read(select(*OPERATOR_COLUMNS).where(Operator.id == id_))), None)

    async def named(self, name: str) -> OperatorRecord:
        """Return the account with a log-in name.

        Raises:
            ConfigError: there is none.
        """
        known = await self.all()
        wanted = login_name(name)
        for account in known:
            if account.name == wanted:
                return account
        raise ConfigError(no_such("There is no operator", name, [account.name for account in known]))

    @unit_of_work
    async def add(
        self,
        name: str,
        password_hash: str,
        by: AuditActor,
        *,
        role: Role | None = None,
        display_name: str = "",
        languages: Iterable[str] = (),
        teams: Iterable[str] = (),
    ) -> OperatorRecord:
        """Add an account; the first one is an admin.

        Args:
            name: the log-in name.
            password_hash: the hash of the password.
            by: who adds it.
            role: its role; None: ``admin`` for the first account, else ``operator``.
            display_name: the name that customers see; empty: the log-in name.
            languages: codes or English names of languages, the preferred one first.
            teams: names of teams.

        Raises:
            InputError: the name is taken, or a value is invalid.
        """
        row: dict[str, Any] = {
            "id": str(uuid7()),
            "name": login_name(name),
            "display_name": display_name_of(display_name or name),
            "password_hash": password_hash,
            "languages": language_codes(languages),
            "teams": team_names(teams),
            "created_at": datetime.now(UTC),
        }
        adding = upsert(self._database.dialect, Operator).on_conflict_do_nothing().returning(*OPERATOR_COLUMNS)
        async with self._database.write() as connection:
            is_first = (await connection.execute(select(Operator.id).limit(1))).first() is None
            if is_first and role not in (None, "admin"):
                raise InputError(f"The first operator manages the others and must be an admin, not {role!r}.")
            row["role"] = role or ("admin" if is_first else "operator")
            added = (await connection.execute(adding, row)).one_or_none()
            if added is None:
                raise _taken(row["name"])
            await add_entry(connection, by, "operator.add", f"operator:{row['name']}", {"role": row["role"]})
        return OperatorRecord(*added)

    @unit_of_work
    async def set_password(self, id_: str, password_hash: str, by: AuditActor, *, keep: str | None = None) -> None:
        """Replace a password, unlock the account and end its sessions.

        Args:
            id_: the account.
            password_hash: the hash of the new password.
            by: who changes it.
            keep: id of a session that goes on.
        """
        values = {"password_hash": password_hash, "failed_logins": 0, "locked_until": None}
        await self._change(id_, values, by, "operator.password", ends_sessions=True, keep=keep)

    @unit_of_work
    async def set_role(self, id_: str, role: Role, by: AuditActor, *, allow_no_admin: bool = False) -> None:
        """Change a role and end the account's sessions.

        Raises:
            InputError: no admin would be left.
        """
        change = {"role": role}
        await self._change(
            id_,
            change,
            by,
            "operator.role",
            change,
            ends_sessions=True,
            needs_admin=not allow_no_admin,
            releases="operator_is_viewer" if role == "viewer" else "",
        )

    @unit_of_work
    async def disable(self, id_: str, by: AuditActor, *, allow_no_admin: bool = False) -> None:
        """Disable an account, end its sessions, and let its tickets wait for somebody else.

        Raises:
            InputError: no admin would be left.
        """
        values = {"disabled_at": datetime.now(UTC)}
        await self._change(
            id_,
            values,
            by,
            "operator.disable",
            ends_sessions=True,
            needs_admin=not allow_no_admin,
            releases="operator_disabled",
        )

    @unit_of_work
    async def enable(self, id_: str, by: AuditActor) -> None:
        """Enable and unlock an account."""
        values = {"disabled_at": None, "failed_logins": 0, "locked_until": None}
        await self._change(id_, values, by, "operator.enable", ends_sessions=True)

    @unit_of_work
    async def set_profile(
        self,
        id_: str,
        by: AuditActor,
        *,
        display_name: str | None = None,
        languages: Iterable[str] | None = None,
        teams: Iterable[str] | None = None,
    ) -> None:
        """Change the name that customers see, the languages or the teams; None leaves a value as it is.

        Raises:
            InputError: a value is invalid.
        """
        values: dict[str, Any] = {}
        if display_name is not None:
            values["display_name"] = display_name_of(display_name)
        if languages is not None:
            values["languages"] = language_codes(languages)
        if teams is not None:
            values["teams"] = team_names(teams)
        if values:
            await self._change(id_, values, by, "operator.profile", values)

    @unit_of_work
    async def set_available(self, id_: str, is_available: bool, by: AuditActor) -> None:
        """Say whether an operator takes new tickets."""
        change = {"is_available": is_available}
        await self._change(id_, change, by, "operator.available", change)

    @unit_of_work
    async def touch(self, id_: str, *, by_open_page: bool = False) -> None:
        """Note a sign of life of an operator, such as a request or a message in an operators' room.

        Args:
            id_: the account.
            by_open_page: whether it comes from an open page that does not tell when it is closed.
        """
        now = datetime.now(UTC)
        values = {"seen_at": now, "page_seen_at": now} if by_open_page else {"seen_at": now}
        statement = update(Operator).where(Operator.id == id_).values(**values)
        async with self._database.write() as connection:
            await connection.execute(statement)

    @unit_of_work
    async def leave(self, id_: str, at: datetime, *, unless_page_is_open: bool = False) -> None:
        """Note that an operator has gone, unless there was a sign of life since then.

        Args:
            id_: the account.
            at: when the operator has gone.
            unless_page_is_open: not if a page that does not tell when it is closed was open lately, in any process.
        """
        mine = (Operator.id == id_) & (Operator.seen_at <= at)
        if unless_page_is_open:
            mine &= Operator.page_seen_at.is_(None) | (Operator.page_seen_at <= at - ONLINE)
        statement = update(Operator).where(mine).values(seen_at=at - ONLINE, page_seen_at=None)
        async with self._database.write() as connection:
            await connection.execute(statement)

    async def _read(self, statement: Select[Any]) -> list[OperatorRecord]:
        async with self._database.read() as connection:
            return [OperatorRecord(*row) for row in await connection.execute(statement)]

    async def _change(
        self,
        id_: str,
        values: dict[str, Any],
        by: AuditActor,
        action: str,
        details: Details | None = None,
        *,
        ends_sessions: bool = False,
        keep: str | None = None,
        needs_admin: bool = False,
        releases: str = "",
    ) -> None:
        statement: Update = update(Operator).where(Operator.id == id_).values(**values)
        async with self._database.write() as connection:
            if needs_admin:
                await connection.execute(select(Operator.id).where(Operator.role == "admin").with_for_update())
            name = (await connection.execute(statement.returning(Operator.name))).scalar_one_or_none()
            if name is None:
                raise InputError("This operator does not exist any more.")
            if needs_admin:
                await _check_admin(connection)
            if ends_sessions:
                await connection.execute(_sessions_of(id_, keep))
            if releases and (released := await release_tickets(connection, id_, releases)):
                details = {**(details or {}), "tickets": released}
            await add_entry(connection, by, action, f"operator:{name}", details)


def check_new(name: str, known: Iterable[OperatorRecord]) -> str:
    """Return a new log-in name in the form that is stored.

    Raises:
        InputError: it is no log-in name, or is taken.
    """
    wanted = login_name(name)
    if any(account.name == wanted for account in known):
        raise _taken(wanted)
    return wanted


def _taken(name: str) -> InputError:
    return InputError(f"There is an operator {name!r} already; choose another log-in name.")


async def _check_admin(connection: TenantConnection) -> None:
    is_admin = (Operator.role == "admin") & Operator.disabled_at.is_(None)
    if not (await connection.execute(select(func.count()).select_from(Operator).where(is_admin))).scalar_one():
        raise InputError("No admin would be left: make another operator an admin first.")


def _sessions_of(id_: str, keep: str | None) -> Any:
    session = OperatorSession
    return delete(session).where(session.operator_id == id_, session.id != (keep or ""))
