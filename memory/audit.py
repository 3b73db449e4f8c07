"""The audit log of operations on the data, without content, and the watch for erasures by other processes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, insert, select
from uuid_utils import uuid7

from qwendesk.errors import StoreError
from qwendesk.memory.tables.facts import AuditEntry
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase
from qwendesk.text_caches import Forgotten, TextCaches

_ADD = insert(AuditEntry)
_POLL_SECONDS = 15.0
log = logging.getLogger(__name__)


async def add_audit_entry(connection: TenantConnection, action: str, subject: str, counts: Mapping[str, int]) -> str:
    """Add an audit line in the transaction of the operation; return its id."""
    row = {"id": str(uuid7()), "at": datetime.now(UTC), "action": action, "subject": subject, "counts": dict(counts)}
    await connection.execute(_ADD, row)
    return str(row["id"])


class ErasureWatch:
    """Polls the audit log for erased people.

    Args:
        database: the tenant's view of the database.
        text_caches: people's words that this process holds outside the database.
    """

    def __init__(self, database: TenantDatabase, text_caches: TextCaches) -> None:
        self._database = database
        self._text_caches = text_caches
        self._last: str | None = None

    async def watch(self, seconds: float = _POLL_SECONDS) -> None:
        """Poll until cancelled."""
        while True:
            try:
                await self.poll()
            except StoreError as error:
                log.info("Erased people could not be read, trying again later: %s", error)
            await asyncio.sleep(seconds)

    async def poll(self) -> None:
        """Drop all held words if another process has erased a person since the last call."""
        async with self._database.read() as connection:
            found = [str(id_) for id_ in (await connection.execute(_since(), {"last": self._last or ""})).scalars()]
        is_first, self._last = self._last is None, max(found, default=self._last or "")
        new = [id_ for id_ in found if self._text_caches.is_new(id_)]
        if new and not is_first:
            await self._text_caches.drop(Forgotten(None))


@cache
def _since() -> Select[Any]:
    forgotten = AuditEntry.action == "forget"
    return select(AuditEntry.id).where(forgotten, AuditEntry.id > bindparam("last")).order_by(AuditEntry.id)
