"""Nothing of a forgotten person who wrote on a chat platform stays in the desk's process or files."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qwendesk.plugins import load
from qwendesk.testing.simulators.base import Simulator, UserMessage, simulator_for

LEFT, RIGHT = "axolotl", "siebzig"
LIMIT = 60.0


class Running:
    """The desk's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout
        return (await asyncio.wait_for(self._process.stdout.readline(), LIMIT)).decode().strip()

    async def held(self) -> int:
        """Return how many texts with the word the process holds."""
        self._process.send_signal(signal.SIGUSR1)
        return int(await self.line())


@asynccontextmanager
async def desk(folder: Path, name: str, values: dict[str, Any]) -> AsyncIterator[Running]:
    home = folder / "home"
    home.mkdir()
    channel = values | {"access": "open", "machine_notice": False}
    settings = {"home": str(home), "engine": "scripted", "embedder": "none", "port": 0, "channels": {name: channel}}
    given = folder / "given.json"
    given.write_text(json.dumps({"settings": settings, "halves": [LEFT, RIGHT]}), "utf-8")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.security.forgetting_process", str(given)),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield Running(process)
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), LIMIT)


async def say(platform: Simulator, text: str, answers: int) -> None:
    """Let the person write, and wait until the desk has said so many messages in all."""
    await platform.write(UserMessage(text))
    await platform.wait_until(lambda seen: len(seen.messages) >= answers, LIMIT)


def held_in_files(folder: Path) -> list[str]:
    data = (LEFT + RIGHT).encode()
    return [str(file) for file in folder.rglob("*") if file.is_file() and data in file.read_bytes()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["telegram", "slack", "webhook", "chatwoot", "irc", "xmpp"])
async def test_nothing_of_a_person_stays(name: str, tmp_path: Path) -> None:
    async with simulator_for(load("channels", name)) as platform, desk(tmp_path, name, platform.settings()) as running:
        platform.desk_url = await running.line()
        await platform.wait_started()
        await say(platform, f"/remember word: {LEFT + RIGHT}", 1)
        await say(platform, f"What was my word, {LEFT + RIGHT}?", 2)
        assert await running.held() and held_in_files(tmp_path / "home")
        await say(platform, "/forget me yes", 3)
        async with asyncio.timeout(LIMIT):
            while await running.held() or held_in_files(tmp_path / "home"):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.5)
