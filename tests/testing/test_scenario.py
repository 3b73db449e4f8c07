"""Scenarios: files that scripts send, and steps that a platform does not support."""

from __future__ import annotations

from pathlib import Path

import pytest
from httpx import AsyncClient

from qwendesk.errors import ConfigError
from qwendesk.testing.conformance.channel_fixtures import PIXEL
from qwendesk.testing.scenario import read_script
from qwendesk.testing.scenario_steps import read_file
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.irc import IrcSimulator
from qwendesk.testing.simulators.telegram import TelegramSimulator


@pytest.mark.parametrize(
    ("name", "data", "kind", "mime", "key"),
    [
        ("a.png", PIXEL, "image", "image/png", "photo"),
        ("named-wrongly.txt", PIXEL, "image", "image/png", "photo"),
        ("voice", b"OggS...", "audio", "audio/ogg", "voice"),
        ("song.mp3", b"...", "audio", "audio/mpeg", "audio"),
        ("sound.wav", b"RIFF\0\0\0\0WAVEfmt ", "audio", "audio/wav", "audio"),
        ("film.mp4", b"...", "document", "video/mp4", "video"),
        ("a.pdf", b"%PDF-1.7", "document", "application/pdf", "document"),
        ("nothing", b"", "document", "application/octet-stream", "document"),
    ],
)
async def test_a_file_is_sent_as_what_it_is(
    tmp_path: Path, name: str, data: bytes, kind: str, mime: str, key: str
) -> None:
    (tmp_path / name).write_bytes(data)
    file = read_file(tmp_path / name)
    assert (file.kind, file.mime, file.data, file.name) == (kind, mime, data, name)
    async with TelegramSimulator() as simulator, AsyncClient() as client:
        await simulator.write(UserMessage("look", files=(file,)))
        bot = simulator.settings()
        answer = await client.get(f"{bot['base_url']}/bot{bot['token']}/getUpdates")
    (update,) = answer.json()["result"]
    assert key in update["message"]


def test_a_picture_may_still_be_called_one() -> None:
    (step,) = read_script("- write: {file: cat.png}", "s")
    assert step.write and step.write.file == Path("cat.png")


async def test_a_platform_without_edits_says_so() -> None:
    with pytest.raises(ConfigError, match="has no edits"):
        await IrcSimulator().edit("Hello")
