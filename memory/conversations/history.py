"""Stored conversations: their list, their messages and their last turn."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, Select, bindparam, func, select

from qwendesk.memory.records import ConversationInfo, StoredMessage, StoredTurn
from qwendesk.memory.tables.conversations import Conversation, Message, PersonIdentity, StoredAttachment, Turn
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Attachment

_MESSAGES_WITH_FILES = 4
"""Messages, newest first, that are returned with their attachments."""


class History:
    """Reads the conversations of one tenant.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the conversations.
    """

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def messages(
        self, conversation: str, *, channel: str = "python", limit: int = 200, with_attachments: bool = True
    ) -> list[StoredMessage]:
        """Return the newest ``limit`` messages, oldest first; an answer follows its question, regardless of its time.

        Args:
            conversation: the conversation's key.
            channel: the conversation's channel.
            limit: the number of messages.
            with_attachments: read the attachments of the newest few messages that have any.
        """
        of_conversation = Message.conversation_id == _of_conversation(Conversation.id)
        # Each turn has a message, so older turns are out of reach; without this, PostgreSQL would sort all messages.
        newest = _of_conversation(Conversation.next_sequence - limit)
        statement = (
            select(Message.id, Message.role, Message.text, Message.created_at, Message.parts)
            .where(of_conversation, Message.sequence >= newest)
            # "assistant" sorts before "user": reversed, the question comes first.
            .order_by(Message.sequence.desc(), Message.role, Message.part.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            found = (await connection.execute(statement, self._key(conversation, channel))).all()
            having = [row.id for row in found if row.parts] if with_attachments else []
            files = await attachments_of(connection, having)
        return [
            StoredMessage(id_, role, text, created_at, tuple(files.get(id_, ())))
            for id_, role, text, created_at, _ in reversed(found)
        ]

    @unit_of_work
    async def last_turn(self, conversation: str, *, channel: str = "python") -> StoredTurn | None:
        """Return the conversation's newest turn, of any status."""
        async with self._database.read() as connection:
            found = await connection.execute(_last_turn(), self._key(conversation, channel))
            row = found.one_or_none()
        return StoredTurn(conversation, *row) if row else None

    @unit_of_work
    async def conversations(self, *, channel: str | None = None, limit: int = 20) -> list[ConversationInfo]:
        """Return the conversations of one channel or of all, newest first."""
        count = select(func.count()).where(Message.conversation_id == Conversation.id).scalar_subquery()
        identity = (PersonIdentity.person_id == Message.person_id) & (PersonIdentity.channel == Conversation.channel)
        writer = (
            select(PersonIdentity.external_user_id)
            .join(Message, identity)
            .where(Message.conversation_id == Conversation.id)
            .order_by(Message.sequence.desc())
            .limit(1)
            .scalar_subquery()
        )
        columns = (Conversation.external_id, Conversation.title, count, Conversation.updated_at, Conversation.channel)
        statement = (
            select(*columns, func.coalesce(writer, ""))
            .where(*([] if channel is None else [Conversation.channel == channel]))
            .order_by(Conversation.updated_at.desc(), Conversation.id.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            return [ConversationInfo(*row) for row in await connection.execute(statement)]

    def _key(self, conversation: str, channel: str) -> dict[str, str]:
        return {"channel": channel, "account": self._account, "key": conversation}


async def attachments_of(connection: TenantConnection, messages: Sequence[str]) -> dict[str, list[Attachment]]:
    """Return the attachments of the first few messages by message id.

    Args:
        connection: the tenant's connection.
        messages: ids of messages with attachments, newest first.
    """
    if not messages:
        return {}
    values = {"messages": list(messages[:_MESSAGES_WITH_FILES])}
    files: dict[str, list[Attachment]] = {}
    for message, *file in await connection.execute(_attachments(), values):
        files.setdefault(message, []).append(Attachment(*file))
    return files


def is_conversation() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for the conversation with the parameters ``channel``, ``account`` and ``key``."""
    return (
        Conversation.channel == bindparam("channel"),
        Conversation.account == bindparam("account"),
        Conversation.external_id == bindparam("key"),
    )


def _of_conversation(column: Any) -> ScalarSelect[Any]:
    return select(column).where(*is_conversation()).scalar_subquery()


@cache
def _attachments() -> Select[Any]:
    file = StoredAttachment
    columns: tuple[Any, ...] = (file.message_id, file.kind, file.mime, file.content, file.name)
    these = file.message_id.in_(bindparam("messages", expanding=True))
    return select(*columns).where(these).order_by(file.message_id, file.ordinal)


@cache
def _last_turn() -> Select[Any]:
    answer = (
        select(Message.text)
        .where(
            Message.conversation_id == Turn.conversation_id,
            Message.sequence == Turn.sequence,
            Message.role == "assistant",
        )
        .correlate(Turn)
        .order_by(Message.part)
        .limit(1)
        .scalar_subquery()
    )
    columns: tuple[Any, ...] = (Message.text, answer, Turn.status, Turn.receipt, Turn.started_at, Turn.thinking)
    return (
        select(*columns)
        .join(Message, Message.id == Turn.question_id)
        .where(Turn.conversation_id == _of_conversation(Conversation.id))
        .order_by(Turn.sequence.desc())
        .limit(1)
    )
