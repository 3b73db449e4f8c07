"""The audit log of operations on the data, without content."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import insert
from uuid_utils import uuid7

from qwendesk.memory.tables.facts import AuditEntry
from qwendesk.memory.tenancy import TenantConnection

_ADD = insert(AuditEntry)


async def record(connection: TenantConnection, action: str, subject: str, counts: Mapping[str, int]) -> str:
    """Add an audit line in the transaction of the operation; return its id."""
    row = {"id": str(uuid7()), "at": datetime.now(UTC), "action": action, "subject": subject, "counts": dict(counts)}
    await connection.execute(_ADD, row)
    return str(row["id"])
