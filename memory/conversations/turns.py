"""Turns: begin, finish, fail, and the context that a turn begins with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

from sqlalchemy import ColumnElement, bindparam, delete, insert, literal, literal_column, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from uuid_utils import uuid7

from qwendesk.errors import InputError, StoreError
from qwendesk.memory.conversations.history import is_conversation, read_context
from qwendesk.memory.database import upsert
from qwendesk.memory.people.repository import add_person
from qwendesk.memory.records import StoredContext
from qwendesk.memory.tables.conversations import (
    ANSWER_LANGUAGE,
    Conversation,
    Message,
    PendingTurn,
    PersonIdentity,
    StoredAttachment,
    Turn,
)
from qwendesk.memory.tables.facts import ToolCall
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import MAX_ATTACHMENT_BYTES, Attachment, Inbound, Reply, ToolUse

TITLE_CHARS = 60
_INTERRUPTED = "interrupted: the process ended before the answer"
"""The error of a turn that an ended process left running."""
_ADD_MESSAGE = insert(Message)
_ADD_ATTACHMENT = insert(StoredAttachment)
_ADD_TURN = insert(Turn)
_ADD_TOOL_CALL = insert(ToolCall)


@dataclass(frozen=True, slots=True)
class _Entered:
    """Where a message is stored."""

    conversation: str
    sequence: int
    person: str
    ticket: str | None


class Turns:
    """Stores the turns of one tenant.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the conversations.
    """

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def begin(self, inbound: Inbound) -> str:
        """Store a message and a running turn in one transaction and return the turn's id.

        A message with a sequence is stored under it once: begun again, it is the same turn. A turn of the same
        conversation that an ended process left running is marked as failed.

        Raises:
            InputError: the message has a sequence, and its writer was forgotten before the turn began.
        """
        try:
            return await self._begin(inbound)
        except StoreError as error:
            # The writer was forgotten or merged with another person meanwhile; the second try finds or adds them.
            if not isinstance(error.__cause__, IntegrityError):
                raise
            return await self._begin(inbound)

    async def store_message(self, connection: TenantConnection, inbound: Inbound) -> None:
        """Store a message that no turn answers, such as one to an operator; one that is stored stays as it is.

        Args:
            connection: the tenant's connection, in a transaction that writes.
            inbound: the message.

        Raises:
            InputError: its writer was forgotten meanwhile.
        """
        files = attachment_rows(inbound.attachments)
        await self._store_question(connection, inbound, files, datetime.now(UTC))

    @unit_of_work
    async def finish(self, turn_id: str, reply: Reply) -> None:
        """Store the answer and close the turn in one transaction; a closed turn stays as it is."""
        receipt = reply.receipt
        changes = {
            "status": "done",
            "error": None,
            "role": receipt.role,
            "confidence": receipt.confidence,
            "model": receipt.model,
            "engine": receipt.engine,
            "receipt": receipt.as_dict(),
            "thinking": reply.thinking,
        }
        await self._close(turn_id, changes, reply.text, receipt.model, receipt.tools)

    @unit_of_work
    async def fail(
        self,
        turn_id: str,
        status: Literal["failed", "stopped"],
        error: str,
        partial: str = "",
        tools: Sequence[ToolUse] = (),
    ) -> None:
        """Close the turn with an error, the partial answer and the calls made; a closed turn stays as it is."""
        await self._close(turn_id, {"status": status, "error": error}, partial or None, tools=tools)

    @unit_of_work
    async def context(
        self, inbound: Inbound, *, messages: int = 200, facts: int = 50, with_attachments: bool = True
    ) -> StoredContext:
        """Return the newest messages after the summary, the summary, and the person's newest facts.

        Args:
            inbound: the message that begins the turn.
            messages: the number of messages.
            facts: the number of facts.
            with_attachments: read the attachments of the newest few messages that have any.
        """
        async with self._database.read() as connection:
            return await read_context(
                connection, inbound, self._account, messages=messages, facts=facts, with_attachments=with_attachments
            )

    @unit_of_work
    async def set_answer_language(self, conversation: str, code: str | None, *, channel: str = "python") -> None:
        """Keep the language that was wished for all answers of a conversation; None: forget it."""
        here = is_conversation(channel, self._account, conversation)
        async with self._database.write() as connection:
            await change_settings(connection, here, {ANSWER_LANGUAGE: code})

    async def _begin(self, inbound: Inbound) -> str:
        now = datetime.now(UTC)
        files = attachment_rows(inbound.attachments)
        async with self._database.write() as connection:
            conversation, sequence, question = await self._store_question(connection, inbound, files, now)
            if question is None:
                if turn := await _reopen(connection, conversation, sequence):
                    return turn
                question = await _question(connection, conversation, sequence)
            row = {
                "id": str(uuid7()),
                "conversation_id": conversation,
                "sequence": sequence,
                "question_id": question,
                "status": "running",
                "started_at": now,
            }
            await connection.execute(_ADD_TURN, row)
        return str(row["id"])

    async def _store_question(
        self, connection: TenantConnection, inbound: Inbound, files: Sequence[dict[str, Any]], now: datetime
    ) -> tuple[str, int, str | None]:
        """Return the conversation's id, the message's number and its id; None: it is stored already."""
        entered = await self._enter(connection, inbound, now)
        parts = parts_of(files)
        question = _message_row(entered.conversation, entered.sequence, "user", inbound.text, inbound.model, now)
        question |= {"person_id": entered.person, "parts": parts, "ticket_id": entered.ticket}
        if entered.ticket:
            # the ticket was opened before its customer was stored
            unknown = (Ticket.id == entered.ticket) & Ticket.person_id.is_(None)
            await connection.execute(update(Ticket).where(unknown).values(person_id=entered.person))
        if inbound.sequence is None:
            await connection.execute(_ADD_MESSAGE, question)
        elif not await self._add_once(connection, question):
            return entered.conversation, entered.sequence, None
        if files:
            await connection.execute(_ADD_ATTACHMENT, [{**file, "message_id": question["id"]} for file in files])
        return entered.conversation, entered.sequence, question["id"]

    async def _enter(self, connection: TenantConnection, inbound: Inbound, now: datetime) -> _Entered:
        entry = {
            "id": str(uuid7()),
            "channel": inbound.channel,
            "account": self._account,
            "external_id": inbound.conversation,
            "next_sequence": 2,
            "step": 1 if inbound.sequence is None else 0,
            "title": title(inbound),
            "created_at": now,
            "updated_at": now,
            "of_channel": inbound.channel,
            "of_account": self._account,
            "of_person": inbound.person,
            "at": inbound.sequence,
        }
        entered = await connection.execute(_enter_conversation(self._database.dialect), entry)
        conversation, next_sequence, person, has_left, is_awaited, has_pending, ticket = entered.one()
        # A person who is being forgotten at this moment is found by foreign keys later; the second try ends here.
        if inbound.sequence is not None and not is_awaited:
            raise InputError("The message was deleted before it was answered: its writer asked to be forgotten.")
        if has_left:
            left = (Turn.conversation_id == conversation) & (Turn.status == "running")
            closed = update(Turn).where(left).values(status="failed", error=_INTERRUPTED, finished_at=now)
            await connection.execute(closed)
        if has_pending:
            older = select(Turn.id).where(Turn.conversation_id == conversation)
            await connection.execute(delete(PendingTurn).where(PendingTurn.turn_id.in_(older)))
        sequence = next_sequence - 1 if inbound.sequence is None else inbound.sequence
        person = person or await add_person(connection, inbound.person, inbound.channel, self._account)
        return _Entered(conversation, sequence, person, ticket)

    async def _add_once(self, connection: TenantConnection, question: dict[str, Any]) -> bool:
        """Store a question under its sequence; return False if it is stored already."""
        added = await connection.execute(_add_message_once(self._database.dialect), question)
        return added.scalar_one_or_none() is not None

    async def _close(
        self,
        turn_id: str,
        changes: Mapping[str, Any],
        answer: str | None,
        model: str | None = None,
        tools: Sequence[ToolUse] = (),
    ) -> None:
        now = datetime.now(UTC)
        async with self._database.write() as connection:
            values = {**changes, "finished_at": now, "turn_id": turn_id}
            closed = (await connection.execute(_close_turn(), values)).one_or_none()
            if closed is None:
                status = await connection.execute(select(Turn.status).where(Turn.id == turn_id))
                if status.one_or_none() is None:
                    raise StoreError(f"There is no turn {turn_id!r} in {self._database.name!r}; begin one first.")
                return
            if answer is not None:
                row = _message_row(closed.conversation_id, closed.sequence, "assistant", answer, model, now)
                row["ticket_id"] = closed.ticket
                await connection.execute(_ADD_MESSAGE, row)
            if tools:
                await connection.execute(_ADD_TOOL_CALL, _tool_call_rows(turn_id, tools))


async def change_settings(
    connection: TenantConnection, here: Sequence[ColumnElement[bool]], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Change settings of a conversation and return all of them; the value None removes a setting.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        here: the conditions for the conversation.
        changes: the new values.
    """
    # locked: two changes at once would lose one of them
    row = await connection.execute(select(Conversation.settings).where(*here).with_for_update(key_share=True))
    before = row.scalar_one_or_none() or {}
    settings = {name: value for name, value in {**before, **changes}.items() if value is not None}
    if settings != before:
        await connection.execute(update(Conversation).where(*here).values(settings=settings))
    return settings


def title(inbound: Inbound) -> str:
    """Return the first words of a message, or the name of its first file."""
    start = " ".join(inbound.text[: TITLE_CHARS * 8].split())
    named = next((file.name or file.kind for file in inbound.attachments), "")
    words = "".join(char for char in start if char.isprintable()) or named
    return words if len(words) <= TITLE_CHARS else words[: TITLE_CHARS - 1].rstrip() + "…"


async def _question(connection: TenantConnection, conversation: str, sequence: int) -> str:
    """Return the id of a stored message of a person."""
    here = (Message.conversation_id == conversation) & (Message.sequence == sequence) & (Message.role == "user")
    return str((await connection.execute(select(Message.id).where(here, Message.part == 0))).scalar_one())


async def _reopen(connection: TenantConnection, conversation: str, sequence: int) -> str | None:
    """Run a turn again unless it is done, without its earlier answer; return its id, or None if there is none."""
    of_turn = (Turn.conversation_id == conversation) & (Turn.sequence == sequence)
    turn: str | None = (await connection.execute(select(Turn.id).where(of_turn))).scalar_one_or_none()
    if turn is None:
        return None
    is_open = (Turn.id == turn) & (Turn.status != "done")
    rerun = update(Turn).where(is_open).values(status="running", error=None, finished_at=None)
    if (await connection.execute(rerun)).rowcount:
        answer = (
            Message.conversation_id == conversation,
            Message.sequence == sequence,
            Message.role == "assistant",
        )
        await connection.execute(delete(Message).where(*answer))
    return turn


@cache
def _enter_conversation(dialect: str) -> ReturningInsert[Any]:
    """Create the conversation, or take its next sequence, in one round trip.

    Returns its id, the sequence after the one taken, the person's id if known, whether a turn is still running, whether
    an accepted message with the sequence ``at`` still exists, whether a turn waits for an approval, and the ticket of
    that accepted message.
    """
    statement = upsert(dialect, Conversation)
    person = select(PersonIdentity.person_id).where(
        PersonIdentity.channel == bindparam("of_channel"),
        PersonIdentity.account == bindparam("of_account"),
        PersonIdentity.external_user_id == bindparam("of_person"),
    )
    # SQLite loses the table's name of a column inside RETURNING.
    here: ColumnElement[str] = literal_column("conversation.id")
    left = select(Turn.id).where(Turn.conversation_id == here, Turn.status == literal("running", literal_execute=True))
    accepted = select(InboundEvent.id).where(
        InboundEvent.conversation_id == here, InboundEvent.sequence == bindparam("at")
    )
    ticket = select(InboundEvent.ticket_id).where(
        InboundEvent.conversation_id == here, InboundEvent.sequence == bindparam("at")
    )
    # nested instead of joined, for the same reason
    of_conversation = select(Turn.id).where(Turn.conversation_id == here)
    pending = select(PendingTurn.id).where(PendingTurn.turn_id.in_(of_conversation))
    taken = {
        "next_sequence": Conversation.next_sequence + bindparam("step"),
        "updated_at": statement.excluded.updated_at,
    }
    return statement.on_conflict_do_update(
        index_elements=["tenant_id", "channel", "account", "external_id"], set_=taken
    ).returning(
        Conversation.id,
        Conversation.next_sequence,
        person.scalar_subquery(),
        left.exists(),
        accepted.exists(),
        pending.exists(),
        ticket.scalar_subquery(),
    )


@cache
def _add_message_once(dialect: str) -> ReturningInsert[str]:
    key = ["conversation_id", "sequence", "role", "part"]
    return upsert(dialect, Message).on_conflict_do_nothing(index_elements=key).returning(Message.id)


@cache
def _close_turn() -> ReturningUpdate[str, int, str | None]:
    """Close a turn that is open or was marked as interrupted; its values are parameters."""
    is_open = (Turn.status == "running") | (Turn.error == _INTERRUPTED)
    statement = update(Turn).where(Turn.id == bindparam("turn_id"), is_open)
    # SQLite loses the table's name of a column inside RETURNING.
    question: ColumnElement[str] = literal_column("turn.question_id")
    ticket = select(Message.ticket_id).where(Message.id == question)
    return statement.returning(Turn.conversation_id, Turn.sequence, ticket.scalar_subquery().label("ticket"))


def _message_row(
    conversation: str, sequence: int, role: str, text: str, model: str | None, now: datetime
) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "conversation_id": conversation,
        "sequence": sequence,
        "role": role,
        "part": 0,
        "person_id": None,
        "text": text,
        "parts": None,
        "model": model,
        "ticket_id": None,
        "created_at": now,
    }


def attachment_rows(files: Sequence[Attachment]) -> list[dict[str, Any]]:
    """Return the rows of a message's files, without the id of the message.

    Raises:
        InputError: a file is too large.
    """
    return [_attachment_row(ordinal, file) for ordinal, file in enumerate(files)]


def parts_of(files: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return what a message's row tells about the rows of its files."""
    return [{"type": file["kind"], "attachment": file["id"]} for file in files] or None


def _attachment_row(ordinal: int, file: Attachment) -> dict[str, Any]:
    size = len(file.data)
    if size > MAX_ATTACHMENT_BYTES:
        raise InputError(
            f"The file {file.name!r} has {size:,} bytes; send one of at most {MAX_ATTACHMENT_BYTES:,} bytes."
        )
    return {
        "id": str(uuid7()),
        "ordinal": ordinal,
        "kind": file.kind,
        "mime": file.mime,
        "name": file.name,
        "size": size,
        "sha256": hashlib.sha256(file.data).hexdigest(),
        "content": file.data,
    }


def _tool_call_rows(turn_id: str, tools: Sequence[ToolUse]) -> Sequence[dict[str, Any]]:
    return [
        {
            "id": str(uuid7()),
            "turn_id": turn_id,
            "ordinal": ordinal,
            "name": use.name,
            "arguments": use.arguments,
            "ok": use.ok,
            "result": use.result,
            "duration_ms": use.duration_ms,
        }
        for ordinal, use in enumerate(tools)
    ]
