"""Recordings on the embedded engine, with a tiny audio model in the real llama.cpp."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import soundfile
from langchain_core.messages import HumanMessage

pytest.importorskip("gguf")

from qwendesk import Desk
from qwendesk.errors import EngineError
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.seeing_gguf import write_hearing_gguf

GREEDY: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 12}


def tone(pitch: float, seconds: float = 1.0, kind: str = "WAV") -> bytes:
    held = io.BytesIO()
    times = np.arange(int(16_000 * seconds)) / 16_000
    soundfile.write(held, 0.4 * np.sin(2 * np.pi * pitch * times), 16_000, format=kind)
    return held.getvalue()


def message(text: str, *recordings: bytes) -> HumanMessage:
    data = [base64.b64encode(recording).decode() for recording in recordings]
    parts: list[Any] = [{"type": "input_audio", "input_audio": {"data": one, "format": "wav"}} for one in data]
    return HumanMessage([*parts, {"type": "text", "text": text}])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_hearing_gguf(tmp_path_factory.mktemp("hearing")))


@pytest.fixture
async def chat(file: str) -> AsyncIterator[Any]:
    pool = build_pool(Settings(engine="llamacpp", context_tokens=2048, threads=1))
    yield await pool.engine("llamacpp").load(file)
    await pool.aclose()


async def test_a_recording_changes_the_prompt_and_the_answer(chat: Any) -> None:
    assert chat.capabilities.audio and not chat.capabilities.vision
    deaf = await chat.ainvoke([message("What is it?")], **GREEDY)
    low, high, ogg = [
        await chat.ainvoke([message("What is it?", sound)], **GREEDY)
        for sound in (tone(200), tone(900), tone(200, kind="OGG"))
    ]
    assert len({deaf.text, low.text, high.text}) == 3
    assert low.usage_metadata["input_tokens"] == ogg.usage_metadata["input_tokens"]
    assert low.usage_metadata["input_tokens"] > deaf.usage_metadata["input_tokens"] + 20


async def test_what_cannot_be_heard_is_an_error_and_the_next_message_is_answered(chat: Any) -> None:
    for data, reason in ((b"no sound", "cannot be read"), (tone(200)[:9000], "broken off"), (tone(9, 60), "at most")):
        with pytest.raises(EngineError, match=reason):
            await chat.ainvoke([message("What is it?", data)], **GREEDY)
    assert (await chat.ainvoke([message("What is it?", tone(200))], **GREEDY)).text


async def test_the_desk_plays_it_the_recording(file: str) -> None:
    settings = Settings(engine="llamacpp", model=file, context_tokens=2048, threads=1, max_output_tokens=4)
    async with Desk(settings) as desk:
        reply = await desk.ask("", audio=[tone(300)])
    assert (reply.receipt.role, reply.receipt.model) == ("audio", file)
