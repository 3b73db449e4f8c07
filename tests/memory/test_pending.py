"""Turns that wait for an approval, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select

from qwendesk.memory.memory import Memory
from qwendesk.memory.tables.conversations import PendingTurn
from qwendesk.messages import Inbound, Reply
from tests.memory.talk import RECEIPT, say

CALLS = [{"id": "1", "tool": "pay", "arguments": {"amount": 5}, "reason": "the tool is risky"}]


async def wait(memory: Memory, *, conversation: str = "c1", hours: float = 1.0) -> str:
    """Let a turn wait for an approval; return its id."""
    turn = await memory.turns.begin(Inbound("Pay 5", conversation))
    await memory.pending.add(turn, CALLS, b"state", datetime.now(UTC) + timedelta(hours=hours))
    await memory.turns.finish(turn, Reply("May I?", conversation, RECEIPT))
    return turn


async def stored(memory: Memory) -> int:
    async with memory.scope.read() as connection:
        return int((await connection.execute(select(func.count(PendingTurn.id)))).scalar_one())


async def test_a_decision_is_taken_once(memory: Memory) -> None:
    turn = await wait(memory)
    found = await memory.pending.find("c1", channel="python")
    assert found and (found.turn, found.calls, found.state) == (turn, CALLS, b"state")
    assert sorted(await asyncio.gather(*(memory.pending.claim(turn) for _ in range(4)))) == [False, False, False, True]
    assert await memory.pending.find("c1", channel="python") is None
    # the turn is open again, without its question for approval and its calls
    assert [message.text for message in await memory.history.messages("c1")] == ["Pay 5"]
    await memory.turns.finish(turn, Reply("Paid.", "c1", RECEIPT))
    assert [message.text for message in await memory.history.messages("c1")] == ["Pay 5", "Paid."]


async def test_the_next_message_drops_what_waits_in_its_conversation(memory: Memory) -> None:
    turn, other = await wait(memory), await wait(memory, conversation="c2")
    await say(memory, "Hello")
    assert await memory.pending.find("c1", channel="python") is None and not await memory.pending.claim(turn)
    assert await stored(memory) == 1 and await memory.pending.claim(other)


async def test_a_turn_that_was_stopped_before_its_question_was_told_does_not_wait(memory: Memory) -> None:
    turn = await memory.turns.begin(Inbound("Pay 5", "c1"))
    await memory.pending.add(turn, CALLS, b"state", datetime.now(UTC) + timedelta(hours=1))
    await memory.turns.fail(turn, "stopped", "the desk was closed")
    assert await memory.pending.find("c1", channel="python") is None and not await memory.pending.claim(turn)


async def test_what_has_waited_too_long_is_deleted(memory: Memory) -> None:
    await wait(memory, hours=-1)
    await wait(memory, conversation="c2")
    await memory.pending.drop_expired()
    assert await stored(memory) == 1


async def test_another_tenant_finds_nothing(memory: Memory) -> None:
    turn = await wait(memory)
    other = memory.of_tenant("other")
    assert await other.pending.find("c1", channel="python") is None
    assert not await other.pending.claim(turn)
    assert await memory.pending.claim(turn)
