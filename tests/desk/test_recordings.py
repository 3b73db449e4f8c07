"""A recording's way: file, attachment, route, role, answer; and where no model hears."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from langchain_core.messages import HumanMessage
from typer.testing import CliRunner

from qwendesk.agents.roles import role_definition
from qwendesk.cli.main import app
from qwendesk.desk.turns.attachments import read_audio
from qwendesk.engines.message_format import openai_messages
from qwendesk.errors import InputError
from qwendesk.models.card import ModelCard
from tests.conftest import MakeDesk

HEARING = (ModelCard(name="general", parameters=7), ModelCard(name="ears", roles=("audio",), parameters=7, audio=True))


def recording(kind: str = "WAV", seconds: float = 0.5) -> bytes:
    held = io.BytesIO()
    soundfile.write(held, np.sin(np.arange(int(16_000 * seconds)) / 9), 16_000, format=kind)
    return held.getvalue()


@pytest.mark.parametrize(("kind", "mime"), [("WAV", "wav"), ("MP3", "mpeg"), ("FLAC", "flac"), ("OGG", "ogg")])
async def test_a_recording_is_known_by_its_bytes(tmp_path: Path, kind: str, mime: str) -> None:
    (tmp_path / "voice.bin").write_bytes(recording(kind))
    attachment = await read_audio(tmp_path / "voice.bin")
    assert (attachment.kind, attachment.mime, attachment.name) == ("audio", f"audio/{mime}", "voice.bin")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a recording"),
        (b"hello", "not a recording"),
        (recording()[:30], "not a recording"),
        (recording(seconds=0), "no sound"),
        (bytes(21 * 2**20), "larger than"),
    ],
)
async def test_what_is_no_recording_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        await read_audio(data)


async def test_a_voice_message_is_answered_by_who_hears(make_desk: MakeDesk, tmp_path: Path) -> None:
    (tmp_path / "voice.wav").write_bytes(recording())
    async with make_desk(["It is about the sea.", "About the sea."], cards=HEARING) as desk:
        reply = await desk.ask("", audio=[tmp_path / "voice.wav"], conversation="c")
        again = await desk.ask("Say it again", conversation="c")
        calls = desk.script.calls  # type: ignore[attr-defined]
    assert reply.text == "It is about the sea."
    assert (reply.receipt.role, reply.receipt.model) == ("audio", "ears")
    assert again.receipt.model == "general", "the next text goes back"
    (_, messages, _), (_, later, _) = calls
    assert "listens to recordings" in messages[0].text
    sent: Any = openai_messages([messages[-1]], text=str)[0]["content"]
    assert [part["type"] for part in sent] == ["input_audio"]
    assert base64.b64decode(sent[0]["input_audio"]["data"]) == recording()
    assert sent[0]["input_audio"]["format"] == "wav"
    assert any("a recording came with this message" in message.text for message in later)


async def test_words_beside_a_recording_are_kept(make_desk: MakeDesk) -> None:
    async with make_desk(["A tone."], cards=HEARING) as desk:
        await desk.ask("What is it?", audio=[recording("MP3"), recording("OGG")])
        (_, messages, _) = desk.script.calls[0]  # type: ignore[attr-defined]
    sent: Any = openai_messages([messages[-1]], text=str)[0]["content"]
    assert [part["type"] for part in sent] == ["input_audio", "input_audio", "text"]
    assert [part["input_audio"]["format"] for part in sent[:2]] == ["mp3", "ogg"]
    assert isinstance(messages[-1], HumanMessage) and messages[-1].text == "What is it?"


async def test_where_nobody_hears_the_reply_says_so_and_what_to_do(make_desk: MakeDesk) -> None:
    async with make_desk(["never asked"]) as desk:
        reply = await desk.ask("", audio=[recording()])
        assert not desk.script.calls  # type: ignore[attr-defined]
    assert reply.receipt.role == "audio"
    assert "cannot hear" in reply.text and "qwendesk models pull" in reply.text


def test_the_command_line_takes_a_recording_without_words(tmp_path: Path) -> None:
    (tmp_path / "voice.wav").write_bytes(recording())
    done = CliRunner().invoke(app, ["chat", "--engine", "scripted", "--audio", "voice.wav", "-m", "", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["receipt"]["role"] == "audio"
    (tmp_path / "voice.txt").write_text("no sound")
    done = CliRunner().invoke(app, ["chat", "--engine", "scripted", "--audio", "voice.txt", "-m", "hi"])
    assert done.exit_code == 1 and "not a recording" in done.output


def test_the_role_has_a_prompt_of_its_own() -> None:
    assert role_definition("audio").prompt == "audio"
