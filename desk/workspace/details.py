"""What belongs to the messages of a ticket: their files, who has proved to be the customer, how an answer was made."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select

from qwendesk.memory.tables.conversations import VERIFIED_CUSTOMER, Conversation, Message, StoredAttachment, Turn
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Receipt, file_name


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file of a message, without its content."""

    id: str
    message_id: str
    kind: str
    mime: str
    name: str
    size: int


_FILE_COLUMNS: tuple[Any, ...] = tuple(getattr(StoredAttachment, name) for name in FileInfo.__slots__)


class MessageDetails:
    """Reads what belongs to the messages of one tenant's tickets."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    async def files(self, message_ids: Collection[str]) -> dict[str, list[FileInfo]]:
        """Return the files of messages, by the message's id."""
        of = StoredAttachment
        statement = select(*_FILE_COLUMNS).where(of.message_id.in_(message_ids)).order_by(of.message_id, of.ordinal)
        found: dict[str, list[FileInfo]] = {}
        async with self._database.read() as connection:
            for row in await connection.execute(statement):
                found.setdefault(row.message_id, []).append(_file_info(row))
        return found

    async def file(self, ticket_id: str, id_: str) -> tuple[FileInfo, bytes] | None:
        """Return a file of a ticket with its content; None: the ticket has no such file."""
        statement = (
            select(*_FILE_COLUMNS, StoredAttachment.content)
            .join(Message, Message.id == StoredAttachment.message_id)
            .where(StoredAttachment.id == id_, Message.ticket_id == ticket_id)
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return (_file_info(row[:-1]), row[-1]) if row else None

    async def verified_customer(self, conversation_id: str) -> dict[str, str]:
        """Return id, name and e-mail of the customer whom a shop has signed; empty: nobody has verified them."""
        statement = select(Conversation.settings).where(Conversation.id == conversation_id)
        async with self._database.read() as connection:
            settings: dict[str, Any] = (await connection.execute(statement)).scalar_one_or_none() or {}
        return dict(settings.get(VERIFIED_CUSTOMER) or {})

    async def receipt(self, ticket_id: str, sequence: int) -> dict[str, Any] | None:
        """Return the receipt of the answer with a number; None: there is none."""
        statement = (
            select(Turn.receipt)
            .join(Message, Message.id == Turn.question_id)
            .where(Message.ticket_id == ticket_id, Turn.sequence == sequence)
        )
        async with self._database.read() as connection:
            found: dict[str, Any] | None = (await connection.execute(statement)).scalar_one_or_none()
        return found

    async def receipts(self, ticket_id: str, limit: int = 20) -> list[Receipt]:
        """Return the receipts of a ticket's newest answers, the oldest first."""
        statement = (
            select(Turn.receipt)
            .join(Message, Message.id == Turn.question_id)
            .where(Message.ticket_id == ticket_id, Turn.receipt.is_not(None))
            .order_by(Turn.sequence.desc())
            .limit(limit)
        )
        async with self._database.read() as connection:
            found = list((await connection.execute(statement)).scalars())
        return [receipt for values in reversed(found) if (receipt := _receipt(values))]


def _file_info(row: Sequence[Any]) -> FileInfo:
    """Return a file of a row; names that were stored by an earlier version may hide their endings."""
    info = FileInfo(*row)
    return replace(info, name=file_name(info.name))


def _receipt(values: dict[str, Any]) -> Receipt | None:
    """Return a stored receipt; None: an earlier version wrote it, with other values."""
    try:
        return _adapter().validate_python(values)
    except ValidationError:
        return None


@cache
def _adapter() -> TypeAdapter[Receipt]:
    return TypeAdapter(Receipt)
