"""Texts that a process caches are dropped, on each event loop that a desk runs on."""

import asyncio
import gc
import weakref
from contextvars import ContextVar, copy_context

import pytest
import uvloop

from qwendesk.text_caches import Forgotten, drop_cancelled_timers

_STATE: ContextVar["State"] = ContextVar("state")


class State:
    """The state of a turn."""


def cancel_a_timer() -> "weakref.ref[State]":
    """Make and cancel a timer in a context with the state of a turn, as ``asyncio.timeout`` does it."""
    state, context = State(), copy_context()
    context.run(_STATE.set, state)
    asyncio.get_running_loop().call_later(3600.0, print, context=context).cancel()
    return weakref.ref(state)


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_the_state_of_a_turn_does_not_stay_with_its_cancelled_timers(loop_factory: type) -> None:
    async def cancel_and_drop() -> State | None:
        loop = asyncio.get_running_loop()
        others = [loop.call_later(1800.0, print) for _ in range(200)]
        state = cancel_a_timer()
        await drop_cancelled_timers(Forgotten(None))
        gc.collect()
        kept = state()
        for timer in others:
            timer.cancel()
        return kept

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        assert runner.run(cancel_and_drop()) is None
