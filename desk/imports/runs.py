"""Runs of imports and what they have added: by it, a second run adds only what is new, and a run can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update
from uuid_utils import uuid7

from qwendesk.desk.imports.records import Kind
from qwendesk.errors import InputError
from qwendesk.memory.tables.imports import ImportItem, ImportRun
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

RunStatus = Literal["running", "done", "stopped"]
_MIN_ID_CHARS = 4


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run of an import."""

    id: str
    system: str
    source: str
    location: str
    status: RunStatus
    """``running`` also if its process was killed."""
    counts: dict[str, Any]
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownItem:
    """Something that was imported before."""

    id: str
    person_id: str | None
    ticket_id: str | None
    last_message: int | None
    details: dict[str, Any]


class ImportRuns:
    """The runs of one tenant.

    Args:
        database: the tenant's view of the database.
    """

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def begin(self, system: str, source: str, location: str) -> str:
        """Store a run that begins, and return its id."""
        row = {"id": str(uuid7()), "system": system, "source": source, "location": location}
        row |= {"status": "running"}
        async with self._database.write() as connection:
            await connection.execute(insert(ImportRun), {**row, "started_at": datetime.now(UTC)})
        return row["id"]

    @unit_of_work
    async def finish(self, run: str, status: RunStatus, counts: Mapping[str, Any]) -> None:
        """Store the end of a run."""
        changes = {"status": status, "counts": dict(counts), "finished_at": datetime.now(UTC)}
        async with self._database.write() as connection:
            await connection.execute(update(ImportRun).where(ImportRun.id == run).values(**changes))

    async def listed(self) -> list[RunRecord]:
        """Return all runs that were not undone, the newest first."""
        run = ImportRun
        columns: tuple[Any, ...] = (run.id, run.system, run.source, run.location, run.status, run.counts)
        statement = select(*columns, run.started_at, run.finished_at)
        statement = statement.where(run.undone_at.is_(None)).order_by(run.id.desc())
        async with self._database.read() as connection:
            return [RunRecord(*row) for row in await connection.execute(statement)]

    async def named(self, text: str) -> RunRecord:
        """Return the run with an id that ends or begins so, or the ``last`` one that has added something.

        Raises:
            InputError: there is none, or several.
        """
        runs = await self.listed()
        if text == "last":
            async with self._database.read() as connection:
                adding = set((await connection.execute(select(ImportItem.run_id).distinct())).scalars())
            if last := next((run for run in runs if run.id in adding), None):
                return last
        wanted = text.strip().lower()
        found = [run for run in runs if run.id.endswith(wanted) or run.id.startswith(wanted)]
        if len(wanted) < _MIN_ID_CHARS or len(found) != 1:
            raise InputError(f"No single import is called {text!r}; 'qwendesk imports list' shows them.")
        return found[0]


async def known_item(connection: TenantConnection, source: str, kind: Kind, external_id: str) -> KnownItem | None:
    """Return what was imported before; None if it is new."""
    item = ImportItem
    columns: tuple[Any, ...] = (item.id, item.person_id, item.ticket_id, item.last_message, item.details)
    here = (item.source == source) & (item.kind == kind) & (item.external_id == external_id)
    row = (await connection.execute(select(*columns).where(here))).one_or_none()
    return None if row is None else KnownItem(*row)


async def set_details(connection: TenantConnection, source: str, kind: Kind, external_id: str, **details: Any) -> None:
    """Add to what is noted of something that was imported; nothing is done if it is not known."""
    if known := await known_item(connection, source, kind, external_id):
        changed = {**known.details, **details}
        if changed != known.details:
            here = ImportItem.id == known.id
            await connection.execute(update(ImportItem).where(here).values(details=changed))


async def forget_item(connection: TenantConnection, source: str, kind: Kind, external_id: str) -> None:
    """Delete the note that something was imported."""
    here = (ImportItem.source == source) & (ImportItem.kind == kind) & (ImportItem.external_id == external_id)
    await connection.execute(delete(ImportItem).where(here))


async def add_item(
    connection: TenantConnection, run: str, source: str, kind: Kind, external_id: str, **values: Any
) -> None:
    """Note that something was imported, in the transaction that has stored it.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        run: the run.
        source: the name of the installation.
        kind: the kind of item.
        external_id: its id there.
        values: further columns.
    """
    row: dict[str, Any] = {"id": str(uuid7()), "run_id": run, "source": source, "kind": kind}
    row["external_id"] = external_id
    row |= {"person_id": None, "ticket_id": None, "last_message": None, "details": {}, **values}
    await connection.execute(insert(ImportItem), {**row, "imported_at": datetime.now(UTC)})
