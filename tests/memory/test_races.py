"""What is removed while it is being written: on PostgreSQL both go on side by side."""

import asyncio

import pytest

from qwendesk.errors import StoreError
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound, Reply
from tests.memory.talk import RECEIPT
from tests.memory.test_people import dump, filled


async def ask(memory: Memory, number: int) -> None:
    """Let Ada ask and the desk answer; where the question is gone by then, there is nothing to answer."""
    key = f"c{number % 3}"
    turn = await memory.turns.begin(Inbound(f"ada_more {number}", key, person="ada"))
    try:
        await memory.turns.finish(turn, Reply(f"ada_echo {number}", key, RECEIPT))
    except StoreError as error:
        assert "There is no turn" in str(error)


@pytest.mark.parametrize("wait", [0, 0.01, 0.03, 0.06])
async def test_who_is_forgotten_while_writing_leaves_nothing(memory: Memory, wait: float) -> None:
    ada = await filled(memory)

    async def forget() -> None:
        await asyncio.sleep(wait)
        await memory.people.forget(ada)

    await asyncio.gather(forget(), *(ask(memory, number) for number in range(12)))
    for person in await memory.people.named("ada"):
        await memory.people.forget(person.id)
    assert "ada_" not in await dump(memory)
