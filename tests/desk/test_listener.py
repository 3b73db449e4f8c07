"""Telling of a turn that is over: it does not break what others wait for."""

from __future__ import annotations

import asyncio

from qwendesk.desk.turns.running import EventCollector
from qwendesk.messages import Event, Notice


async def test_a_load_goes_on_for_others_when_who_asked_first_has_left() -> None:
    events = asyncio.Queue[Event | None]()
    async with asyncio.timeout(60) as limit:
        collector = EventCollector(events, [], limit, 60.0, 0.0, [])
        collector.add(Notice("Loading", None))
        await asyncio.sleep(0)
    collector.add(Notice("Loading", None))
    assert events.qsize() == 2
