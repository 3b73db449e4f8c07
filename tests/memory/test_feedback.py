"""Past turns are read page by page, and people's ratings stay beside them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qwendesk.errors import InputError, StoreError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import Rating
from qwendesk.messages import Attachment, Inbound, Receipt, Reply

RECEIPT = Receipt("coder", "m", "e", 0.9, "math", ("why",), "it", False, (), 1, 1, 1.0, 1.0, (), 1.0)
PICTURE = Attachment("image", "image/png", b"x")


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    made = Memory(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}")
    await made.open()
    yield made
    await made.aclose()


async def say(memory: Memory, question: str, conversation: str = "c", **more: Any) -> str:
    turn = await memory.turns.begin(Inbound(question, conversation, **more))
    await memory.turns.finish(turn, Reply("answer", conversation, RECEIPT))
    return turn


async def test_turns_come_newest_first_page_by_page(memory: Memory) -> None:
    made = [await say(memory, f"q{number}", f"c{number % 2}") for number in range(5)]
    first = await memory.feedback.turns(limit=3)
    rest = await memory.feedback.turns(limit=3, before=first[-1].id)
    assert [turn.id for turn in first + rest] == made[::-1]
    assert await memory.feedback.turns(before=rest[-1].id) == []
    newest = first[0]
    assert (newest.question, newest.conversation, newest.channel, newest.role) == ("q4", "c0", "python", "coder")
    assert newest.receipt == RECEIPT.as_dict()


async def test_only_turns_that_are_over_count(memory: Memory) -> None:
    await memory.turns.begin(Inbound("running", "a"))
    failed = await memory.turns.begin(Inbound("failed", "b", (PICTURE,)))
    await memory.turns.fail(failed, "failed", "no model")
    (turn,) = await memory.feedback.turns()
    assert (turn.question, turn.kinds, turn.role, turn.receipt) == ("failed", ("image",), None, None)


async def test_since_is_a_moment(memory: Memory) -> None:
    await say(memory, "q")
    now = datetime.now(UTC)
    assert len(await memory.feedback.turns(since=now - timedelta(minutes=1))) == 1
    assert await memory.feedback.turns(since=now + timedelta(minutes=1)) == []


async def test_a_rating_stands_beside_its_turn_and_the_newer_one_counts(memory: Memory) -> None:
    old, new = await say(memory, "old"), await say(memory, "new")
    assert await memory.feedback.rate("c", Rating(1)) == new
    assert await memory.feedback.rate("c", Rating(-1, "math", "qwen3:8b", "wrong\0sum"), turn=old) == old
    await memory.feedback.rate("c", Rating(-1))
    newest, oldest = await memory.feedback.turns()
    assert newest.ratings == (Rating(-1),)
    assert oldest.ratings == (Rating(-1, "math", "qwen3:8b", "wrong\ufffdsum"),)


async def test_an_answer_is_rated_while_the_next_one_is_on_its_way(memory: Memory) -> None:
    answered = await say(memory, "q")
    await memory.turns.begin(Inbound("next", "c"))
    assert await memory.feedback.rate("c", Rating(1)) == answered


async def test_what_cannot_be_rated_says_so(memory: Memory) -> None:
    turn = await say(memory, "q")
    with pytest.raises(StoreError, match="no answered turn in the conversation 'other'"):
        await memory.feedback.rate("other", Rating(1))
    with pytest.raises(StoreError, match="no turn 'x'"):
        await memory.feedback.rate("c", Rating(1), turn="x")
    with pytest.raises(StoreError, match=f"no turn '{turn}'"):
        await memory.feedback.rate("c", Rating(1), turn=turn, channel="slack")
    with pytest.raises(InputError, match="is 5; give 1 or -1"):
        await memory.feedback.rate("c", Rating(5))  # type: ignore[arg-type]
