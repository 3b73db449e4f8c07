"""The stored translations of messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, select
from uuid_utils import uuid7

from qwendesk.desk.interpreter.translator import Translation
from qwendesk.desk.translations import DETECTED_LANGUAGE
from qwendesk.memory.database import upsert
from qwendesk.memory.tables.conversations import Conversation, Message
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import MessageTranslation, Ticket
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work


@dataclass(frozen=True, slots=True)
class OutgoingOriginal:
    """An operator's message on its way to a customer."""

    message_id: str
    text: str
    operator_languages: tuple[str, ...]
    """The operator's languages, the preferred one first."""
    customer_language: str | None
    names: tuple[str, ...]
    """The operator's name."""


class StoredTranslations:
    """Reads and stores the translations of one tenant's messages.

    Args:
        database: the tenant's view of the database.
    """

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def find(self, message_id: str, language: str, text: str) -> Translation | None:
        """Return the translation of a message, or of the same text in its conversation; None if there is none.

        A translation that failed because no model answered is not returned, so that it is tried again.
        """
        async with self._database.read() as connection:
            own = await connection.execute(_of_message(message_id, language))
            row = own.one_or_none()
            if row is None:
                row = (await connection.execute(_of_same_text(message_id, language, text))).first()
        return None if row is None or row.status == "failed" else _translation(row, text)

    @unit_of_work
    async def put(self, message_id: str, translation: Translation) -> None:
        """Store the translation of a message; it replaces an earlier one. A deleted message gets none."""
        is_done = translation.status == "done"
        reasons = [translation.reason] if translation.reason else []
        values: dict[str, Any] = {
            "text": translation.text if is_done else "",
            "status": translation.status,
            "doubts": list(translation.doubts) if is_done else reasons,
            "model": translation.model,
            "created_at": datetime.now(UTC),
        }
        row = {"id": str(uuid7()), "message_id": message_id, "language": translation.language, **values}
        table = MessageTranslation
        statement = upsert(self._database.dialect, table).on_conflict_do_update(
            index_elements=[table.message_id, table.language], set_=values
        )
        # locked, so that the message is not deleted meanwhile
        message = select(Message.id).where(Message.id == message_id).with_for_update()
        async with self._database.write() as connection:
            if (await connection.execute(message)).one_or_none():
                await connection.execute(statement, row)

    @unit_of_work
    async def outgoing(self, conversation_id: str, sequence: int) -> OutgoingOriginal | None:
        """Return an operator's message with the languages of both sides; None if there is none."""
        columns: tuple[Any, ...] = (
            Message.id,
            Message.text,
            Operator.languages,
            Operator.display_name,
            Ticket.language,
            Conversation.settings,
            Conversation.locale,
        )
        statement = (
            select(*columns)
            .join(Conversation, Conversation.id == Message.conversation_id)
            .outerjoin(Ticket, Ticket.id == Message.ticket_id)
            .outerjoin(Operator, Operator.id == Message.operator_id)
            .where(Message.conversation_id == conversation_id, Message.sequence == sequence)
            .where(Message.role == "operator")
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).first()
        if row is None:
            return None
        settings = row.settings or {}
        customer = settings.get("language") or row.language or settings.get(DETECTED_LANGUAGE) or row.locale
        names = tuple(filter(None, [row.display_name]))
        return OutgoingOriginal(row.id, row.text, tuple(row.languages or ()), customer, names)


def _columns() -> Select[Any]:
    table = MessageTranslation
    columns: tuple[Any, ...] = (table.language, table.text, table.status, table.doubts, table.model)
    return select(*columns)


def _of_message(message_id: str, language: str) -> Select[Any]:
    table = MessageTranslation
    return _columns().where(table.message_id == message_id, table.language == language)


def _of_same_text(message_id: str, language: str, text: str) -> Select[Any]:
    table = MessageTranslation
    here = select(Message.conversation_id).where(Message.id == message_id).scalar_subquery()
    return (
        _columns()
        .join(Message, Message.id == table.message_id)
        .where(Message.conversation_id == here, Message.text == text)
        .where(table.language == language, table.status == "done")
        .limit(1)
    )


def _translation(row: Any, original: str) -> Translation:
    is_done = row.status == "done"
    reason = "" if is_done else "; ".join(row.doubts)
    text, doubts = (row.text, tuple(row.doubts)) if is_done else (original, ())
    return Translation(text, row.status, row.language, None, reason, doubts, row.model)
