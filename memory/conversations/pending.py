"""Turns that wait for the approval of a risky call: keep their state, hand it out once, drop it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, Select, bindparam, delete, insert, select, update
from uuid_utils import uuid7

from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.records import StoredPendingTurn
from qwendesk.memory.tables.conversations import Conversation, Message, PendingTurn, Turn
from qwendesk.memory.tables.facts import ToolCall
from qwendesk.memory.tenancy import TenantDatabase, unit_of_work


class PendingTurns:
    """Stores the pending turns of one tenant.

    A pending turn is closed with the question for approval as its answer, so that a conversation is complete without
    it. It can go on as long as it is the newest turn of its conversation.

    Args:
        database: the tenant's view of the database.
        account: the desk's account of the conversations.
    """

    def __init__(self, database: TenantDatabase, account: str) -> None:
        self._database = database
        self._account = account

    @unit_of_work
    async def add(self, turn_id: str, calls: Sequence[dict[str, Any]], state: bytes, expires_at: datetime) -> None:
        """Store the state of a turn before its question for approval is told; expired states are deleted."""
        asked = select(Message.person_id).join(Turn, Turn.question_id == Message.id).where(Turn.id == turn_id)
        async with self._database.write() as connection:
            await connection.execute(delete(PendingTurn).where(PendingTurn.expires_at < datetime.now(UTC)))
            person = (await connection.execute(asked)).scalar_one()
            row = {
                "id": str(uuid7()),
                "turn_id": turn_id,
                "person_id": person,
                "calls": list(calls),
                "state": state,
                "expires_at": expires_at,
            }
            await connection.execute(insert(PendingTurn), row)

    @unit_of_work
    async def find(self, conversation: str, *, channel: str) -> StoredPendingTurn | None:
        """Return the pending turn of a conversation, also an expired one; None if its newest turn waits for nothing."""
        key = {"channel": channel, "account": self._account, "key": conversation}
        return await self._read(_newest_pending(), key)

    @unit_of_work
    async def get(self, id_: str) -> StoredPendingTurn | None:
        """Return a pending turn by its id, although other messages may have come since."""
        return await self._read(_pending_of_id(), {"wanted": id_})

    async def _read(self, statement: Select[Any], values: dict[str, Any]) -> StoredPendingTurn | None:
        async with self._database.read() as connection:
            row = (await connection.execute(statement, values)).one_or_none()
        return StoredPendingTurn(*row) if row else None

    @unit_of_work
    async def claim(self, turn_id: str, id_: str | None = None) -> bool:
        """Open a pending turn again and delete its state; False if it was claimed or dropped, or is not the newest.

        A claimed turn is not pending any more whatever happens, so that its calls are run at most once.

        Args:
            turn_id: the turn's id.
            id_: the pending turn's id, of one that need not be the newest; None: the newest.
        """
        async with self._database.write() as connection:
            is_newest = select(Turn.id).join(Conversation, Conversation.id == Turn.conversation_id).where(*_waits())
            meant = PendingTurn.id == id_ if id_ else PendingTurn.turn_id.in_(is_newest)
            taken = delete(PendingTurn).where(PendingTurn.turn_id == turn_id, meant)
            if not (await connection.execute(taken)).rowcount:
                return False
            opened = update(Turn).where(Turn.id == turn_id).values(status="running", receipt=None, finished_at=None)
            found = await connection.execute(opened.returning(Turn.conversation_id, Turn.sequence))
            conversation, sequence = found.one()
            of_turn = Message.conversation_id == conversation, Message.sequence == sequence
            await connection.execute(delete(Message).where(*of_turn, Message.role == "assistant"))
            await connection.execute(delete(ToolCall).where(ToolCall.turn_id == turn_id))
        return True

    @unit_of_work
    async def drop_expired(self) -> None:
        """Delete the states that nobody has decided on in time."""
        async with self._database.write() as connection:
            await connection.execute(delete(PendingTurn).where(PendingTurn.expires_at < datetime.now(UTC)))


@cache
def _newest_pending() -> Select[Any]:
    named = is_conversation(*map(bindparam, ("channel", "account", "key")))
    return _pending().join(Conversation, Conversation.id == Turn.conversation_id).where(*named, *_waits())


@cache
def _pending_of_id() -> Select[Any]:
    return _pending().where(PendingTurn.id == bindparam("wanted"), Turn.status == "done")


def _pending() -> Select[Any]:
    of = PendingTurn
    columns: tuple[Any, ...] = (of.id, of.turn_id, Turn.sequence, of.calls, of.state, of.expires_at)
    return select(*columns).join(Turn, Turn.id == of.turn_id)


def _waits() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions for a turn whose question for approval was told, and that is its conversation's newest."""
    return Turn.status == "done", Turn.sequence == Conversation.next_sequence - 1
