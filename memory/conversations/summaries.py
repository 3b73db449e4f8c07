"""Summaries of older turns, and how far a conversation has been searched for facts."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, func, insert, select, update
from uuid_utils import uuid7

from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.records import Summary, TurnLine, Unread
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.facts import ConversationSummary
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

_LINE: tuple[Any, ...] = (Message.id, Message.sequence, Message.role, Message.text, Message.person_id)


class Summaries:
    """Stores the summaries of one tenant's conversations.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the conversations.
    """

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def pending(self, conversation: str, *, channel: str = "python", limit: int = 400) -> Unread | None:
        """Return the oldest ``limit`` messages without a summary; None for an unknown conversation."""
        async with self._database.read() as connection:
            found = await self._latest(connection, conversation, channel)
            if found is None:
                return None
            messages = (
                select(*_LINE)
                .where(Message.conversation_id == found.id, Message.sequence > (found.to_sequence or 0))
                .order_by(Message.sequence, Message.role.desc(), Message.part)
                .limit(limit)
            )
            lines = tuple(TurnLine(*row) for row in await connection.execute(messages))
        return Unread(found.id, lines, Summary(found.text, found.to_sequence) if found.to_sequence else None)

    @unit_of_work
    async def add(self, unread: Unread, to_sequence: int, text: str, model: str) -> bool:
        """Store a summary that covers ``unread`` up to ``to_sequence``.

        Returns:
            False, with nothing stored, where a message was deleted meanwhile or another summary covers them.
        """
        id_ = unread.conversation
        after = unread.summary.to_sequence if unread.summary else 0
        covered = sum(line.sequence <= to_sequence for line in unread.lines)
        of_messages = Message.conversation_id == id_, Message.sequence > after, Message.sequence <= to_sequence
        reach = select(func.max(ConversationSummary.to_sequence)).where(ConversationSummary.conversation_id == id_)
        async with self._database.write() as connection:
            await connection.execute(select(Conversation.id).where(Conversation.id == id_).with_for_update())
            found = (await connection.execute(select(func.count(Message.id)).where(*of_messages))).scalar_one()
            reached = (await connection.execute(reach)).scalar_one() or 0
            if not covered or found != covered or reached != after:
                return False
            row = {"id": str(uuid7()), "conversation_id": id_, "to_sequence": to_sequence, "text": text}
            row |= {"model": model, "created_at": datetime.now(UTC)}
            await connection.execute(insert(ConversationSummary), row)
        return True

    @unit_of_work
    async def unlearned(self, conversation: str, *, channel: str = "python", limit: int = 20) -> Unread | None:
        """Return people's newest messages not yet searched for facts; None for an unknown conversation."""
        async with self._database.read() as connection:
            found = await self._latest(connection, conversation, channel)
            if found is None:
                return None
            messages = (
                select(*_LINE)
                .where(Message.conversation_id == found.id, Message.sequence > found.learned_sequence)
                .where(Message.role == "user")
                .order_by(Message.sequence.desc(), Message.part.desc())
                .limit(limit)
            )
            rows = (await connection.execute(messages)).all()
        return Unread(found.id, tuple(TurnLine(*row) for row in reversed(rows)))

    @unit_of_work
    async def mark_learned(self, unread: Unread) -> None:
        """Store that these messages have been searched for facts."""
        if not unread.lines:
            return
        last = unread.lines[-1].sequence
        is_behind = (Conversation.id == unread.conversation) & (Conversation.learned_sequence < last)
        async with self._database.write() as connection:
            await connection.execute(update(Conversation).where(is_behind).values(learned_sequence=last))

    async def _latest(self, connection: TenantConnection, conversation: str, channel: str) -> Row[Any] | None:
        """Return a conversation's id, how far it was searched for facts, and its newest summary."""
        summary = ConversationSummary
        columns: tuple[Any, ...] = (Conversation.id, Conversation.learned_sequence, summary.text, summary.to_sequence)
        statement = (
            select(*columns)
            .select_from(Conversation)
            .join_from(Conversation, summary, summary.conversation_id == Conversation.id, isouter=True)
            .where(*is_conversation(channel, self._account, conversation))
            .order_by(summary.to_sequence.desc())
            .limit(1)
        )
        return (await connection.execute(statement)).one_or_none()
