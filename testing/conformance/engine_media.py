"""What an engine has to do with pictures and recordings, as tests that its own tests inherit.

As with ``qwendesk.testing.conformance.engine``, a subclass gives the fixtures ``engine`` and ``model``: any model
that sees, or hears, in a window of 1,024 tokens or more. Of random weights is enough: what it says has to differ,
not to be true.
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

from qwendesk.engines.base import Engine, ModelCapabilities, QwenChat
from qwendesk.errors import EngineError

STILL: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 12}


class MediaConformance:
    """The behaviours that pictures and recordings have in common."""

    @abstractmethod
    def part(self, number: int) -> dict[str, Any]:
        """Return a part of a message; another number is another picture or recording of the same size."""

    @abstractmethod
    def broken(self) -> list[dict[str, Any]]:
        """Return parts that cannot be read."""

    @abstractmethod
    def able(self, capabilities: ModelCapabilities) -> bool:
        """Tell whether the model says that it has the sense."""

    @pytest.fixture
    async def chat(self, engine: Engine, model: str) -> QwenChat:
        """Load the model."""
        return await engine.load(model)

    async def test_it_says_that_it_can(self, chat: QwenChat) -> None:
        """Capabilities name the sense."""
        assert self.able(chat.capabilities)

    async def test_each_one_changes_prompt_and_answer(self, chat: QwenChat) -> None:
        """What is shown counts and is not the same as something else; several in one message do too."""
        without, one, other, both = [await _ask(chat, *map(self.part, numbers)) for numbers in ((), (1,), (2,), (1, 2))]
        assert without[1] < one[1] == other[1] < both[1]
        assert len({without[0], one[0], other[0], both[0]}) == 4

    async def test_answers_side_by_side_get_their_own(self, chat: QwenChat) -> None:
        """Nobody sees or hears what was sent to somebody else."""
        alone = [await _ask(chat, self.part(number)) for number in range(3)]
        assert await asyncio.gather(*(_ask(chat, self.part(number)) for number in range(3))) == alone

    async def test_the_conversation_goes_on(self, chat: QwenChat) -> None:
        """The next turn still knows it, and need not work it out again."""
        first = _message(self.part(1))
        answer = await chat.ainvoke([first], **STILL)
        again = await chat.ainvoke([first, AIMessage("I see."), HumanMessage("Sure?")], **STILL)
        assert answer.usage_metadata and again.usage_metadata
        assert again.usage_metadata["input_token_details"]["cache_read"] > answer.usage_metadata["input_tokens"] // 2

    async def test_what_cannot_be_read_is_an_error(self, chat: QwenChat) -> None:
        """The error ends its own answer only."""
        for part in self.broken():
            with pytest.raises(EngineError):
                await chat.ainvoke([_message(part)], **STILL)
        assert (await _ask(chat, self.part(1)))[1]


class PictureConformance(MediaConformance):
    """The same for pictures."""

    def part(self, number: int) -> dict[str, Any]:
        """Return a picture: a square of its own colour on white."""
        from PIL import Image

        image = Image.new("RGB", (168, 112), "white")
        image.paste(("red", "green", "blue")[number], (20, 20, 90, 90))
        held = io.BytesIO()
        image.save(held, "PNG")
        return _picture(f"data:image/png;base64,{_text(held)}")

    def broken(self) -> list[dict[str, Any]]:
        """Return what is no picture, one that would fill all memory, and the address of one, which nobody may fetch."""
        bomb = base64.b64encode(_huge_png()).decode("ascii")
        broken = [_picture(f"data:image/png;base64,{data}") for data in ("AAAA", bomb)]
        return [*broken, _picture("https://example.org/a.png")]

    def able(self, capabilities: ModelCapabilities) -> bool:
        """Tell whether it sees."""
        return capabilities.vision


class RecordingConformance(MediaConformance):
    """The same for recordings."""

    def part(self, number: int) -> dict[str, Any]:
        """Return a recording: a tone of its own pitch."""
        import numpy as np
        import soundfile

        held = io.BytesIO()
        soundfile.write(held, 0.4 * np.sin(np.arange(16_000) * (number + 1) / 9), 16_000, format="WAV")
        return _recording(_text(held))

    def broken(self) -> list[dict[str, Any]]:
        """Return what is no recording."""
        return [_recording("AAAA"), _recording(_text(io.BytesIO(b"RIFF and nothing")))]

    def able(self, capabilities: ModelCapabilities) -> bool:
        """Tell whether it hears."""
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
    """Return the few bytes of a picture of 3.6 thousand million pixels."""
    size = struct.pack(">II", 60_000, 60_000) + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    written = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(written)


def _text(held: io.BytesIO) -> str:
    return base64.b64encode(held.getvalue()).decode("ascii")
