"""Summaries in a SQL database."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from uuid_utils import uuid7

from qwendesk.memory.conversations import summary_statements
from qwendesk.memory.records import Line, Summary, Unread
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work


class Summaries:
    """Keeps summaries beside the conversations of one tenant."""

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def pending(self, conversation: str, *, channel: str = "python", limit: int = 400) -> Unread | None:
        """Return what is not summarised yet, its oldest ``limit`` messages; None for an unknown conversation."""
        async with self._database.read() as connection:
            found = (
                await connection.execute(summary_statements.latest(), self._key(conversation, channel))
            ).one_or_none()
            if found is None:
                return None
            values = {"conversation": found.id, "after": found.to_sequence or 0, "limit": limit}
            rows = await connection.execute(summary_statements.after(only_people=False), values)
            lines = tuple(Line(*row) for row in rows)
        return Unread(found.id, lines, Summary(found.text, found.to_sequence) if found.to_sequence else None)

    @unit_of_work
    async def add(self, unread: Unread, to_sequence: int, text: str, model: str) -> bool:
        """Store a summary that covers ``unread`` up to ``to_sequence``.

        Nothing is stored, and False returned, where one of its messages has been deleted meanwhile or another
        summary goes as far.
        """
        after = unread.summary.to_sequence if unread.summary else 0
        covered = sum(line.sequence <= to_sequence for line in unread.lines)
        stretch = {"conversation": unread.conversation, "after": after, "to": to_sequence}
        only = {"conversation": unread.conversation}
        async with self._database.write() as connection:
            await connection.execute(summary_statements.lock(), only)
            there = (await connection.execute(summary_statements.still_there(), stretch)).scalar_one()
            reach = (await connection.execute(summary_statements.reach(), only)).scalar_one()
            if there != covered or not covered or (reach or 0) != after:
                return False
            row: dict[str, Any] = {"id": str(uuid7()), **only, "to_sequence": to_sequence, "text": text, "model": model}
            row["conversation_id"] = row.pop("conversation")
            await connection.execute(summary_statements.add(), row | {"created_at": datetime.now(UTC)})
        return True

    @unit_of_work
    async def latest(self, conversation: str, *, channel: str = "python") -> Summary | None:
        """Return the newest summary."""
        async with self._database.read() as connection:
            found = (
                await connection.execute(summary_statements.latest(), self._key(conversation, channel))
            ).one_or_none()
        return Summary(found.text, found.to_sequence) if found and found.to_sequence else None

    @unit_of_work
    async def unlearned(self, conversation: str, *, channel: str = "python", limit: int = 20) -> Unread | None:
        """Return people's newest messages that have not been read for facts; None for an unknown conversation."""
        async with self._database.read() as connection:
            found = (
                await connection.execute(summary_statements.latest(), self._key(conversation, channel))
            ).one_or_none()
            if found is None:
                return None
            values = {"conversation": found.id, "after": found.learned_sequence, "limit": limit}
            rows = (await connection.execute(summary_statements.newest_of_people(), values)).all()
        return Unread(found.id, tuple(Line(*row) for row in reversed(rows)))

    @unit_of_work
    async def mark_learned(self, unread: Unread) -> None:
        """Remember that these messages have been read for facts."""
        if not unread.lines:
            return
        values = {"conversation": unread.conversation, "to": unread.lines[-1].sequence}
        async with self._database.write() as connection:
            await connection.execute(summary_statements.mark_learned(), values)

    def _key(self, conversation: str, channel: str) -> dict[str, str]:
        return {"channel": channel, "account": self._account, "key": conversation}
