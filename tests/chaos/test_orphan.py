"""A message that the queue notes as in this worker's hands, but is not: a note lost as the connection broke."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.desk.parts import running

pytestmark = pytest.mark.chaos


async def test_a_message_that_nothing_has_in_hand_does_not_hold_up_its_conversation(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = asyncio.Event()
    asked: list[str] = []

    async def script(messages: Sequence[Any]) -> str:
        asked.append(messages[-1].text)
        if not lost.is_set():
            lost.set()
            await asyncio.sleep(3600)
        return f"re {messages[-1].text}"

    async with running(tmp_path, script, url=postgres_url, patience=0.5) as desk:
        await desk.say("first", event="e1")
        await desk.say("second", event="e2")
        await asyncio.wait_for(lost.wait(), 60)
        monkeypatch.setattr(desk.office.dispatcher, "running", set)
        await desk.settle(60)
        assert desk.outlet.texts == ["re first", "re second"]
        assert asked[:2] == ["first", "first"]
