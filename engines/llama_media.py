"""Pictures and recordings as llama.cpp takes them: PNG and WAV, small enough for the context window."""

from __future__ import annotations

import io
import math
from base64 import b64encode
from dataclasses import dataclass
from typing import Any

from qwendesk.engines.llama_server import LlamaServer
from qwendesk.engines.pictures import read_picture
from qwendesk.engines.sound import TOKENS_A_SECOND, longest, read_sound
from qwendesk.errors import EngineError

_SIDE = 28
"""Pixels of the square that one token stands for; newer models take more, so that they need fewer tokens."""
_SHARE = 4
"""A picture takes at most this part of the context window; a larger one is made smaller."""
_FEWEST = 16
"""A picture takes about this many tokens at least: a small one is made larger."""
_AROUND = 4
"""Tokens that stand before and behind a picture or a recording."""
_EMPTY = "AAAA"
"""Goes to the chat template in the place of the data, which it does not look at."""


@dataclass(frozen=True, slots=True)
class Medium:
    """A picture or a recording."""

    data: str
    """The file in base64."""
    tokens: int
    """How many tokens stand for it at most."""


def media_of(messages: list[dict[str, Any]], name: str, server: LlamaServer) -> tuple[Medium, ...]:
    """Take the media out of messages in OpenAI's form; their places stay. Blocks: belongs into a thread.

    Raises:
        EngineError: one cannot be read, or the model ``name`` has no sense for it.
    """
    found: list[Medium] = []
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = [_without_data(part, name, server, found) for part in message["content"]]
    return tuple(found)


def _without_data(part: dict[str, Any], name: str, server: LlamaServer, found: list[Medium]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        return part
    if kind == "image_url" and server.vision:
        found.append(_picture(part, server.context))
        return {"type": kind, "image_url": {"url": f"data:image/png;base64,{_EMPTY}"}}
    if kind == "input_audio" and server.audio:
        found.append(_recording(part, server.context))
        return {"type": kind, "input_audio": {"data": _EMPTY, "format": "wav"}}
    raise EngineError(f"{name!r} cannot take what the message holds, {kind!r}: choose a model that can.")


def _picture(part: dict[str, Any], context: int) -> Medium:
    # decoded here rather than there: every format that Pillow knows, its protection against bombs, and upright
    image = read_picture(part, context // _SHARE * _SIDE * _SIDE)
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    tokens = math.ceil(image.width / _SIDE) * math.ceil(image.height / _SIDE)
    return Medium(b64encode(held.getvalue()).decode("ascii"), max(tokens, _FEWEST) + _AROUND)


def _recording(part: dict[str, Any], context: int) -> Medium:
    import soundfile

    sound = read_sound(part, longest(context))
    held = io.BytesIO()
    soundfile.write(held, sound.samples, sound.rate, format="WAV", subtype="PCM_16")
    return Medium(b64encode(held.getvalue()).decode("ascii"), math.ceil(sound.seconds * TOKENS_A_SECOND) + _AROUND)
