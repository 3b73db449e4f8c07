"""Drafts: what an operator has begun to write on a ticket, kept until it is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from sqlalchemy import delete, select
from uuid_utils import uuid7

from qwendesk.errors import InputError
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tables.workspace import ReplyDraft
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work

DraftKind = Literal["reply", "note"]
MAX_DRAFT_CHARS = 50_000


class Drafts:
    """The drafts of one tenant's operators."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def of(self, ticket_id: str, operator_id: str) -> dict[str, str]:
        """Return an operator's drafts on a ticket, by kind."""
        here = (ReplyDraft.ticket_id == ticket_id) & (ReplyDraft.operator_id == operator_id)
        async with self._database.read() as connection:
            rows = await connection.execute(select(ReplyDraft.kind, ReplyDraft.text).where(here))
            return {row[0]: row[1] for row in rows}

    async def append(self, ticket_id: str, operator_id: str, kind: DraftKind, text: str) -> None:
        """Add a text to the end of a draft.

        Raises:
            InputError: the draft becomes too long.
        """
        kept = (await self.of(ticket_id, operator_id)).get(kind, "").rstrip()
        await self.keep(ticket_id, operator_id, kind, f"{kept}\n\n{text}" if kept else text)

    @unit_of_work
    async def keep(self, ticket_id: str, operator_id: str, kind: DraftKind, text: str) -> None:
        """Keep a draft in place of the earlier one; an empty text deletes it, and a ticket that is gone has none.

        Raises:
            InputError: it is too long.
        """
        if len(text) > MAX_DRAFT_CHARS:
            raise InputError(f"A message has at most {MAX_DRAFT_CHARS:,} characters; this one has {len(text):,}.")
        draft = ReplyDraft
        async with self._database.write() as connection:
            if not text.strip():
                here = (draft.ticket_id == ticket_id) & (draft.operator_id == operator_id) & (draft.kind == kind)
                await connection.execute(delete(draft).where(here))
                return
            if (await connection.execute(select(Ticket.id).where(Ticket.id == ticket_id))).first() is None:
                return
            row = {
                "id": str(uuid7()),
                "ticket_id": ticket_id,
                "operator_id": operator_id,
                "kind": kind,
                "text": text,
                "updated_at": datetime.now(UTC),
            }
            changed = {"text": text, "updated_at": row["updated_at"]}
            statement = upsert(self._database.dialect, draft).on_conflict_do_update(
                index_elements=["ticket_id", "operator_id", "kind"], set_=changed
            )
            await connection.execute(statement, row)
