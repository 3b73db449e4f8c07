"""Beginning a turn once, however often it is begun: a worker that died may have done so before."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Delete, Select, Update, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from qwendesk.memory.tables.conversations import Message, Turn
from qwendesk.memory.tenancy import TenantConnection


async def add_once(connection: TenantConnection, dialect: str, question: dict[str, Any]) -> bool:
    """Store a question under its number; False where it is there already."""
    added = await connection.execute(_add_once(dialect), question)
    return added.scalar_one_or_none() is not None


async def reopen(connection: TenantConnection, conversation: str, sequence: int) -> str:
    """Let a turn run again, unless it is done, without what was said of its answer; return its id."""
    values = {"in_conversation": conversation, "at": sequence}
    turn = str((await connection.execute(_turn(), values)).scalar_one())
    if (await connection.execute(_rerun(), {"turn_id": turn})).rowcount:
        await connection.execute(_unsay(), values)
    return turn


@cache
def _add_once(dialect: str) -> ReturningInsert[str]:
    insert: Any = sqlite.insert(Message) if dialect == "sqlite" else postgresql.insert(Message)
    statement: ReturningInsert[str] = insert.on_conflict_do_nothing(
        index_elements=["conversation_id", "sequence", "role", "part"]
    ).returning(Message.id)
    return statement


@cache
def _turn() -> Select[str]:
    return select(Turn.id).where(Turn.conversation_id == bindparam("in_conversation"), Turn.sequence == bindparam("at"))


@cache
def _rerun() -> Update:
    not_done = (Turn.id == bindparam("turn_id")) & (Turn.status != "done")
    return update(Turn).where(not_done).values(status="running", error=None, finished_at=None)


@cache
def _unsay() -> Delete:
    here = Message.conversation_id == bindparam("in_conversation")
    return delete(Message).where(here, Message.sequence == bindparam("at"), Message.role == "assistant")
