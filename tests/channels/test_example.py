"""The channel that the page about channels shows, against a whole desk."""

from __future__ import annotations

import asyncio
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from qwendesk import Desk, Settings
from qwendesk.channel_wiring import make_channel
from qwendesk.channels.base import Channel
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.errors import ConfigError
from qwendesk.messages import Inbound, Outbound
from qwendesk.service import Service
from tests.ports import free_port

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "how-to" / "write-a-channel.md").read_text("utf-8")
FIELDS = (DOCS / "reference" / "channel-port.md").read_text("utf-8")


def example() -> type[Channel]:
    """Return the class that is written on the page."""
    (code,) = (block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "(Channel)" in block)
    names: dict[str, Any] = {"__name__": "my_package.folder"}
    exec(compile(code, "docs/how-to/write-a-channel.md", "exec"), names)
    kind: type[Channel] = names["FolderChannel"]
    return kind


def written(folder: Path) -> str:
    return "".join(file.read_text("utf-8") for file in folder.glob("*.out"))


async def answer(folder: Path) -> str:
    async with asyncio.timeout(30):
        while not (text := written(folder)):  # noqa: ASYNC110 - a folder tells nobody
            await asyncio.sleep(0.02)
    return text


async def test_the_channel_on_the_page_asks_and_answers(tmp_path: Path) -> None:
    folder = tmp_path / "questions"
    folder.mkdir()
    values = {"path": str(folder), "access": "open"}
    settings = Settings(home=tmp_path, engine="scripted", port=free_port(), channels={"folder": values})
    desk = Desk(settings, engines={"scripted": ScriptedEngine(lambda messages: f"You said: {messages[-1].text}")})
    async with Service(settings, channels={"folder": make_channel(example(), values, settings)}, desk=desk):
        (folder / "ann.new").write_text("Hello there", "utf-8")
        (folder / "ann.new").rename(folder / "ann.in")
        assert "You said: Hello there" in await answer(folder)
        assert not (folder / "ann.in").exists()


def test_the_channel_on_the_page_asks_for_its_setting() -> None:
    with pytest.raises(ConfigError, match="Folder needs 'path'"):
        example().manifest.read({})


def test_the_page_names_fields_that_there_are() -> None:
    for kind in (Inbound, Outbound):
        table = FIELDS.partition(f"| field of `{kind.__name__}` | |\n|---|---|\n")[2].partition("\n\n")[0]
        named = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
        assert len(named) >= 8 and named <= {field.name for field in fields(kind)}
