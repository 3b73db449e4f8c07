"""Who an operator is on a channel: linked by a code that the operator writes there once."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from uuid_utils import uuid7

from qwendesk.desk.operators.accounts import OPERATOR_COLUMNS, OperatorRecord
from qwendesk.desk.operators.audit import AuditActor, add_entry
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.operator_rooms import OperatorLink
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

CODE_LIFETIME = timedelta(hours=1)
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Without signs that look alike."""
_CODE_CHARS = 8


@dataclass(frozen=True, slots=True)
class LinkRecord:
    """An operator's account on a channel."""

    operator_id: str
    channel: str
    person: str
    """The id on the platform."""
    display_name: str
    linked_at: datetime


class OperatorLinks:
    """The links of one tenant's operators. Each change is in the audit log."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def make_code(self, operator: OperatorRecord, channel: str, by: AuditActor) -> str:
        """Return a new code that links an operator for an hour; an earlier code is not valid any more."""
        code = "".join(secrets.choice(_ALPHABET) for _ in range(_CODE_CHARS))
        changes = {"code_digest": _digest(code), "code_expires_at": datetime.now(UTC) + CODE_LIFETIME}
        row = {"id": str(uuid7()), "operator_id": operator.id, "channel": channel, **changes}
        statement = upsert(self._database.dialect, OperatorLink).on_conflict_do_update(
            index_elements=["tenant_id", "operator_id", "channel"], set_=changes
        )
        async with self._database.write() as connection:
            await connection.execute(statement, row)
            await add_entry(connection, by, "operator.link_code", f"operator:{operator.name}", {"channel": channel})
        return code

    @unit_of_work
    async def redeem(self, code: str, channel: str, person: str, display_name: str = "") -> OperatorRecord | None:
        """Link the operator of a code with a person of a channel; None: the code is not valid."""
        now, link = datetime.now(UTC), OperatorLink
        valid = (link.code_digest == _digest(code)) & link.code_expires_at.between(now, now + CODE_LIFETIME)
        statement = (
            select(link.id, *OPERATOR_COLUMNS)
            .join(Operator, Operator.id == link.operator_id)
            .where(link.channel == channel, valid, Operator.disabled_at.is_(None))
        )
        async with self._database.write() as connection:
            found = (await connection.execute(statement)).one_or_none()
            if found is None:
                return None
            operator = OperatorRecord(*found[1:])
            others = (link.channel == channel) & (link.person == person) & (link.id != found.id)
            await connection.execute(delete(link).where(others))
            values: dict[str, Any] = {
                "person": person,
                "display_name": display_name,
                "code_digest": None,
                "code_expires_at": None,
                "linked_at": now,
            }
            await connection.execute(update(link).where(link.id == found[0]).values(**values))
            by = AuditActor(operator.id, operator.name)
            await add_entry(connection, by, "operator.link", f"operator:{operator.name}", {"channel": channel})
        return operator

    async def operator_of(self, channel: str, person: str) -> OperatorRecord | None:
        """Return the operator whom a person of a channel is; None: nobody, or the account is disabled."""
        here = (OperatorLink.channel == channel) & (OperatorLink.person == person)
        statement = (
            select(*OPERATOR_COLUMNS)
            .join(OperatorLink, OperatorLink.operator_id == Operator.id)
            .where(here, Operator.disabled_at.is_(None))
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return OperatorRecord(*row) if row else None

    async def all(self) -> dict[str, list[LinkRecord]]:
        """Return the links by the operator's id."""
        columns: tuple[Any, ...] = tuple(getattr(OperatorLink, name) for name in LinkRecord.__slots__)
        statement = select(*columns).where(OperatorLink.person.is_not(None)).order_by(OperatorLink.channel)
        found: dict[str, list[LinkRecord]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(statement):
                found.setdefault(row.operator_id, []).append(LinkRecord(*row))
        return found

    @unit_of_work
    async def remove(self, operator: OperatorRecord, channel: str, by: AuditActor) -> bool:
        """Unlink an operator from a channel, with a code that is not used yet; False: there is no link."""
        here = (OperatorLink.operator_id == operator.id) & (OperatorLink.channel == channel)
        async with self._database.write() as connection:
            removed = (await connection.execute(delete(OperatorLink).where(here).returning(OperatorLink.id))).all()
            if removed:
                await add_entry(connection, by, "operator.unlink", f"operator:{operator.name}", {"channel": channel})
        return bool(removed)


def _digest(code: str) -> str:
    return hashlib.sha256(code.strip().upper().encode()).hexdigest()
