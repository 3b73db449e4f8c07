"""Conformance kit of engines with pictures and recordings.

As with ``qwendesk.testing.conformance.engine``, a subclass defines the fixtures ``engine`` and ``model``: any vision
or audio model with a context of 1,024 tokens or more. Random weights are enough: answers have to differ, not to be
correct.
"""

from __future__ import annotations

import asyncio
import base64
import io
import struct
import zlib
from abc import abstractmethod
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from qwendesk.engines.base import Engine
from qwendesk.engines.chat import ModelCapabilities, QwenChat
from qwendesk.errors import EngineError

STILL: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 12}


class MediaConformance:
    """The tests that pictures and recordings share."""

    @abstractmethod
    def part(self, number: int) -> dict[str, Any]:
        """Return a content part; different numbers give different media of the same size."""

    @abstractmethod
    def broken(self) -> list[dict[str, Any]]:
        """Return content parts that cannot be decoded."""

    @abstractmethod
    def able(self, capabilities: ModelCapabilities) -> bool:
        """Return whether the capabilities include the modality."""

    @pytest.fixture
    async def chat(self, engine: Engine, model: str) -> QwenChat:
        """Load the model."""
        return await engine.load(model)

    async def test_capabilities_include_the_modality(self, chat: QwenChat) -> None:
        """``capabilities`` include the modality."""
        assert self.able(chat.capabilities)

    async def test_each_one_changes_prompt_and_answer(self, chat: QwenChat) -> None:
        """Different media give different prompts and answers, also several in one message."""
        without, one, other, both = [await _ask(chat, *map(self.part, numbers)) for numbers in ((), (1,), (2,), (1, 2))]
        assert without[1] < one[1] == other[1] < both[1]
        assert len({without[0], one[0], other[0], both[0]}) == 4

    async def test_answers_side_by_side_get_their_own(self, chat: QwenChat) -> None:
        """Concurrent chats get answers about their own media."""
        alone = [await _ask(chat, self.part(number)) for number in range(3)]
        assert await asyncio.gather(*(_ask(chat, self.part(number)) for number in range(3))) == alone

    async def test_the_conversation_goes_on(self, chat: QwenChat) -> None:
        """The next turn reads the media from the prompt cache."""
        first = _message(self.part(1))
        answer = await chat.ainvoke([first], **STILL)
        again = await chat.ainvoke([first, AIMessage("I see."), HumanMessage("Sure?")], **STILL)
        assert answer.usage_metadata and again.usage_metadata
        assert again.usage_metadata["input_token_details"]["cache_read"] > answer.usage_metadata["input_tokens"] // 2

    async def test_undecodable_media_are_an_error(self, chat: QwenChat) -> None:
        """The error ends only its own answer."""
        for part in self.broken():
            with pytest.raises(EngineError):
                await chat.ainvoke([_message(part)], **STILL)
        assert (await _ask(chat, self.part(1)))[1]


class PictureConformance(MediaConformance):
    """All tests with pictures."""

    def part(self, number: int) -> dict[str, Any]:
        """Return a picture: a coloured square on white."""
        from PIL import Image

        image = Image.new("RGB", (168, 112), "white")
        image.paste(("red", "green", "blue")[number], (20, 20, 90, 90))
        held = io.BytesIO()
        image.save(held, "PNG")
        return _picture(f"data:image/png;base64,{_text(held)}")

    def broken(self) -> list[dict[str, Any]]:
        """Return invalid data, a decompression bomb, and a remote URL, which the engine may not fetch."""
        bomb = base64.b64encode(_huge_png()).decode("ascii")
        broken = [_picture(f"data:image/png;base64,{data}") for data in ("AAAA", bomb)]
        return [*broken, _picture("https://example.org/a.png")]

    def able(self, capabilities: ModelCapabilities) -> bool:
        """Return whether the model has vision."""
        return capabilities.vision


class RecordingConformance(MediaConformance):
    """All tests with recordings."""

    def part(self, number: int) -> dict[str, Any]:
        """Return a recording: a tone."""
        import numpy as np
        import soundfile

        held = io.BytesIO()
        soundfile.write(held, 0.4 * np.sin(np.arange(16_000) * (number + 1) / 9), 16_000, format="WAV")
        return _recording(_text(held))

    def broken(self) -> list[dict[str, Any]]:
        """Return invalid audio data."""
        return [_recording("AAAA"), _recording(_text(io.BytesIO(b"RIFF and nothing")))]

    def able(self, capabilities: ModelCapabilities) -> bool:
        """Return whether the model accepts audio."""
        return capabilities.audio


async def _ask(chat: QwenChat, *parts: dict[str, Any]) -> tuple[str, int]:
    answer = await chat.ainvoke([_message(*parts)], **STILL)
    return answer.text, answer.usage_metadata["input_tokens"] if answer.usage_metadata else 0


def _message(*parts: dict[str, Any]) -> HumanMessage:
    return HumanMessage([*parts, {"type": "text", "text": "What is it?"}])


def _picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def _recording(data: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}}


def _huge_png() -> bytes:
    """Return a small PNG file with 3.6 billion pixels."""
    size = struct.pack(">II", 60_000, 60_000) + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    written = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _text(held: io.BytesIO) -> str:
    return base64.b64encode(held.getvalue()).decode("ascii")
