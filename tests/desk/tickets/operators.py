"""Accounts of operators for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert
from uuid_utils import uuid7

from qwendesk.desk.tickets.records import Actor
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tenancy import TenantDatabase


async def add_operator(
    database: TenantDatabase, name: str, *, role: str = "operator", online: bool = True, **values: Any
) -> Actor:
    """Add an account without a password and return its person."""
    row = {
        "id": str(uuid7()),
        "name": name,
        "display_name": name.title(),
        "password_hash": "",
        "role": role,
        "seen_at": datetime.now(UTC) if online else None,
        "created_at": datetime.now(UTC),
        **values,
    }
    async with database.write() as connection:
        await connection.execute(insert(Operator), row)
    return Actor.operator(row["id"], row["display_name"])
