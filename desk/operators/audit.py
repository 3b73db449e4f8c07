"""The audit log of operators: who read, changed or exported what, without the text of any message."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cachetools import TTLCache
from sqlalchemy import delete, insert, select
from uuid_utils import uuid7

from qwendesk.memory.tables.operators import OperatorAudit
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

COMMAND_LINE = "command line"
"""Name of the actor of a command in the audit log."""
_MAX_TEXT_CHARS = 80
"""Longest text in the details of an entry; the text of a message does not belong there."""
_READ_MINUTES = 10
"""Minutes within which an operator who reads the same again causes no further entry."""
_MAX_READS = 10_000
_COLUMNS: tuple[Any, ...] = (
    OperatorAudit.id,
    OperatorAudit.at,
    OperatorAudit.operator_id,
    OperatorAudit.operator_name,
    OperatorAudit.action,
    OperatorAudit.subject,
    OperatorAudit.details,
    OperatorAudit.address,
)
Details = Mapping[str, str | int | float | bool | list[str] | None]
"""Facts about an action, such as a new role; names, codes and numbers, no text of a message."""


@dataclass(frozen=True, slots=True)
class AuditActor:
    """Who does something: an operator, or a command."""

    id: str | None = None
    name: str = COMMAND_LINE
    """The log-in name."""
    address: str | None = None
    """The address of the browser."""


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """An entry of the audit log."""

    id: str
    at: datetime
    operator_id: str | None
    operator_name: str
    action: str
    subject: str
    details: dict[str, Any]
    address: str | None


async def add_entry(
    connection: TenantConnection, by: AuditActor, action: str, subject: str, details: Details | None = None
) -> None:
    """Add an entry in the transaction of the action; of a text that is longer than a name only the length is kept."""
    row = {
        "id": str(uuid7()),
        "operator_id": by.id,
        "operator_name": by.name,
        "action": action,
        "subject": subject,
        "details": {name: _without_texts(value) for name, value in (details or {}).items()},
        "address": by.address,
        "at": datetime.now(UTC),
    }
    await connection.execute(insert(OperatorAudit), row)


def _without_texts(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_texts(item) for item in value]
    if isinstance(value, str) and len(value) > _MAX_TEXT_CHARS:
        return f"({len(value)} characters)"
    return value


class OperatorAuditLog:
    """The audit log of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database
        self._read: TTLCache[tuple[str, str, str], bool] = TTLCache(_MAX_READS, _READ_MINUTES * 60)

    @unit_of_work
    async def add(self, by: AuditActor, action: str, subject: str, details: Details | None = None) -> None:
        """Add an entry; changes add theirs by ``add_entry`` in their own transaction."""
        async with self._database.write() as connection:
            await add_entry(connection, by, action, subject, details)

    async def add_read(self, by: AuditActor, action: str, subject: str) -> None:
        """Add an entry that something was read, unless the same operator has read it within ten minutes."""
        key = (by.name, action, subject)
        if key not in self._read:
            await self.add(by, action, subject)
            self._read[key] = True

    async def entries(
        self, *, limit: int = 100, before: str | None = None, operator: str | None = None, action: str | None = None
    ) -> list[AuditRecord]:
        """Return entries, newest first.

        Args:
            limit: the maximum number.
            before: only entries that are older than the one with this id.
            operator: only entries of the operator with this log-in name.
            action: only actions whose name begins so, such as ``ticket.``.
        """
        statement = select(*_COLUMNS).order_by(OperatorAudit.id.desc()).limit(limit)
        if before:
            statement = statement.where(OperatorAudit.id < before)
        if operator:
            statement = statement.where(OperatorAudit.operator_name == operator)
        if action:
            statement = statement.where(OperatorAudit.action.startswith(action, autoescape=True))
        async with self._database.read() as connection:
            return [AuditRecord(*row) for row in await connection.execute(statement)]

    @unit_of_work
    async def prune(self, days: float) -> int:
        """Delete entries that are older than a number of days; return their number."""
        statement = delete(OperatorAudit).where(OperatorAudit.at < datetime.now(UTC) - timedelta(days=days))
        async with self._database.write() as connection:
            return int((await connection.execute(statement)).rowcount)
