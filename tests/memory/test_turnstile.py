"""One task writes at a time; acceptance goes before what nobody outside waits for."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwendesk.memory.turnstile import Turnstile


async def test_those_in_a_hurry_go_first_and_each_kind_in_its_order() -> None:
    turnstile, order = Turnstile(), list[str]()

    async def go(name: str) -> None:
        async with turnstile.through(hurry=name.startswith("hurry")):
            order.append(name)
            await asyncio.sleep(0)

    async with turnstile.through():
        tasks = [asyncio.create_task(go(name)) for name in ("a", "b", "hurry 1", "c", "hurry 2")]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order == ["hurry 1", "hurry 2", "a", "b", "c"]


async def test_an_error_inside_lets_the_next_one_through() -> None:
    turnstile = Turnstile()
    with pytest.raises(ValueError, match="no"):
        async with turnstile.through():
            raise ValueError("no")
    async with asyncio.timeout(30), turnstile.through():
        pass


async def test_whoever_is_cancelled_as_another_leaves_is_told_so() -> None:
    turnstile = Turnstile()
    async with turnstile.through():
        waiting = asyncio.create_task(_pass(turnstile))
        await asyncio.sleep(0)
        waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_flood_of_those_in_a_hurry_does_not_keep_out_the_others() -> None:
    turnstile, order = Turnstile(), list[str]()

    async def go(name: str) -> None:
        async with turnstile.through(hurry=name == "hurry"):
            order.append(name)

    async with turnstile.through():
        tasks = [asyncio.create_task(go(name)) for name in ("a", "b", *["hurry"] * 30)]
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert order.index("a") <= 10 and order.index("b") <= 20, order


async def _pass(turnstile: Turnstile) -> None:
    async with turnstile.through():
        pass


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from(["stays", "leaves at once", "leaves when called"])), max_size=12)
)
def test_whoever_leaves_blocks_nobody(people: list[tuple[bool, str]]) -> None:
    async def scene() -> None:
        turnstile, inside, seen = Turnstile(), 0, 0

        async def go(hurry: bool) -> None:
            nonlocal inside, seen
            async with turnstile.through(hurry=hurry):
                inside += 1
                assert inside == 1
                await asyncio.sleep(0)
                inside -= 1
                seen += 1

        async with turnstile.through():
            tasks = [asyncio.create_task(go(hurry)) for hurry, _ in people]
            await asyncio.sleep(0)
            for task, (_, what) in zip(tasks, people, strict=True):
                if what == "leaves at once":
                    task.cancel()
        # whoever is called now and cancelled before running gives the turn on
        for task, (_, what) in zip(tasks, people, strict=True):
            if what == "leaves when called":
                task.cancel()
        async with asyncio.timeout(30):
            await asyncio.gather(*tasks, return_exceptions=True)
            async with turnstile.through():
                pass
        assert seen == sum(what == "stays" for _, what in people)

    asyncio.run(scene())
