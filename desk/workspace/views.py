"""Saved views: lists of tickets that operators have named, for themselves or for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, or_, select
from uuid_utils import uuid7

from qwendesk.errors import InputError
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.workspace import SavedView
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

MAX_NAME_CHARS = 60


@dataclass(frozen=True, slots=True)
class SavedViewRecord:
    """A saved view."""

    id: str
    name: str
    query: dict[str, str]
    """The parameters of the list's address."""
    is_shared: bool
    operator_id: str
    owner: str
    """The name of the operator who saved it."""


class SavedViews:
    """The saved views of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def of(self, operator_id: str) -> list[SavedViewRecord]:
        """Return the views that an operator sees: their own ones and the shared ones, by name."""
        view = SavedView
        statement = (
            select(view.id, view.name, view.query, view.is_shared, view.operator_id, Operator.display_name)
            .join(Operator, Operator.id == view.operator_id)
            .where(or_(view.operator_id == operator_id, view.is_shared))
            .order_by(view.name, view.id)
        )
        async with self._database.read() as connection:
            return [SavedViewRecord(*row) for row in await connection.execute(statement)]

    @unit_of_work
    async def save(self, operator_id: str, name: str, query: Mapping[str, str], *, is_shared: bool = False) -> str:
        """Save a view and return its id; one of the operator with the same name is replaced.

        Raises:
            InputError: the name is empty or too long.
        """
        cleaned = clean_name(name, "view")
        row = {
            "id": str(uuid7()),
            "operator_id": operator_id,
            "name": cleaned,
            "query": dict(query),
            "is_shared": is_shared,
            "created_at": datetime.now(UTC),
        }
        statement = upsert(self._database.dialect, SavedView).on_conflict_do_update(
            index_elements=["tenant_id", "operator_id", "name"], set_={"query": row["query"], "is_shared": is_shared}
        )
        async with self._database.write() as connection:
            added = await connection.execute(statement.returning(SavedView.id), row)
            return str(added.scalar_one())

    @unit_of_work
    async def delete(self, id_: str, operator_id: str) -> bool:
        """Delete a view of an operator; False: they have none with this id."""
        statement = delete(SavedView).where(SavedView.id == id_, SavedView.operator_id == operator_id)
        async with self._database.write() as connection:
            return bool((await connection.execute(statement)).rowcount)


def clean_name(name: str, of: str) -> str:
    """Return a name without line breaks and double spaces.

    Raises:
        InputError: it is empty or too long.
    """
    cleaned = " ".join(name.split())
    if not cleaned or len(cleaned) > MAX_NAME_CHARS:
        raise InputError(f"Give the {of} a name of 1 to {MAX_NAME_CHARS} characters; this one has {len(cleaned)}.")
    return cleaned
