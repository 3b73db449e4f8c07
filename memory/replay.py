"""Beginning a turn once, however often it is begun: a worker that died may have done so before."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Delete, bindparam, delete, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.sql.dml import ReturningUpdate

from qwendesk.memory.tables import Conversation, Message, Turn
from qwendesk.messages import Inbound


async def reopen(connection: AsyncConnection, inbound: Inbound) -> str | None:
    """Let a turn run again that was begun and not done, without what was said of its answer; None: not begun."""
    key = {"of_channel": inbound.channel, "of_account": inbound.account, "of_key": inbound.conversation}
    values = {**key, "at": inbound.seq}
    found = (await connection.execute(_reopen(), values)).one_or_none()
    if found is None:
        return None
    turn, conversation = found
    await connection.execute(_unsay(), {"in_conversation": conversation, "at": inbound.seq})
    return str(turn)


@cache
def _reopen() -> ReturningUpdate[str, str]:
    conversation = select(Conversation.id).where(
        Conversation.channel == bindparam("of_channel"),
        Conversation.account == bindparam("of_account"),
        Conversation.external_id == bindparam("of_key"),
    )
    here = Turn.conversation_id == conversation.scalar_subquery()
    return (
        update(Turn)
        .where(here, Turn.seq == bindparam("at"), Turn.status != "done")
        .values(status="running", error=None, finished_at=None)
        .returning(Turn.id, Turn.conversation_id)
    )


@cache
def _unsay() -> Delete:
    here = Message.conversation_id == bindparam("in_conversation")
    return delete(Message).where(here, Message.seq == bindparam("at"), Message.role == "assistant")
