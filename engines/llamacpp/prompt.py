"""Render prompts with the model's chat template; encode images and recordings as llama.cpp accepts them."""

from __future__ import annotations

import asyncio
import io
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.chat import GenerationOptions
from qwendesk.engines.context_window import context_exceeded, drop_oldest, limit_by_length
from qwendesk.engines.llamacpp.server import LlamaServer
from qwendesk.engines.media import TOKENS_PER_SECOND, max_recording_seconds, read_image, read_recording
from qwendesk.engines.message_format import (
    break_control_tokens,
    mark_control_tokens,
    openai_messages,
    openai_tools,
    split_marks,
)
from qwendesk.engines.stream.thinking import THINK_OPEN
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

_TOKEN_SIDE_PIXELS = 28
"""Side in pixels of the square of an image that one token represents; newer models use larger squares."""
_IMAGE_CONTEXT_FRACTION = 4
"""Divisor of the context window: an image is reduced to take at most this fraction of it."""
_MIN_IMAGE_TOKENS = 16
"""Approximate minimum number of tokens of an image, because models enlarge small ones."""
_MEDIA_MARKER_TOKENS = 4
"""Tokens before and after an image or a recording."""
_PLACEHOLDER_DATA = "AAAA"
"""Replaces the data in the input of the chat template, which does not read it."""
_MIN_ANSWER_TOKENS = 256
"""Tokens of the context window that are reserved for the answer."""


@dataclass(frozen=True, slots=True)
class EncodedMedia:
    """An image or a recording."""

    data: str
    """The file in base64."""
    tokens: int
    """Maximum number of its tokens."""


def extract_media(messages: list[dict[str, Any]], name: str, server: LlamaServer) -> tuple[EncodedMedia, ...]:
    """Replace the media of messages in OpenAI's format by placeholders, and return them. Blocks: call it in a thread.

    Raises:
        EngineError: a medium cannot be read, or the model ``name`` does not accept its type.
    """
    found: list[EncodedMedia] = []
    for message in messages:
        if isinstance(message["content"], list):
            message["content"] = [_without_data(part, name, server, found) for part in message["content"]]
    return tuple(found)


def _without_data(part: dict[str, Any], name: str, server: LlamaServer, found: list[EncodedMedia]) -> dict[str, Any]:
    kind = part["type"]
    if kind == "text":
        return part
    if kind == "image_url" and server.vision:
        found.append(_encode_image(part, server.context))
        return {"type": kind, "image_url": {"url": f"data:image/png;base64,{_PLACEHOLDER_DATA}"}}
    if kind == "input_audio" and server.audio:
        found.append(_encode_recording(part, server.context))
        return {"type": kind, "input_audio": {"data": _PLACEHOLDER_DATA, "format": "wav"}}
    raise EngineError(f"{name!r} does not accept {kind!r} in a message: choose a model that does.")


def _encode_image(part: dict[str, Any], context: int) -> EncodedMedia:
    # decoded here, not by llama.cpp: more formats, protection against decompression bombs, upright
    image = read_image(part, context // _IMAGE_CONTEXT_FRACTION * _TOKEN_SIDE_PIXELS * _TOKEN_SIDE_PIXELS)
    held = io.BytesIO()
    image.save(held, "PNG", compress_level=1)
    tokens = math.ceil(image.width / _TOKEN_SIDE_PIXELS) * math.ceil(image.height / _TOKEN_SIDE_PIXELS)
    return EncodedMedia(
        b64encode(held.getvalue()).decode("ascii"), max(tokens, _MIN_IMAGE_TOKENS) + _MEDIA_MARKER_TOKENS
    )


def _encode_recording(part: dict[str, Any], context: int) -> EncodedMedia:
    import soundfile

    sound = read_recording(part, max_recording_seconds(context))
    held = io.BytesIO()
    soundfile.write(held, sound.samples, sound.rate, format="WAV", subtype="PCM_16")
    return EncodedMedia(
        b64encode(held.getvalue()).decode("ascii"), math.ceil(sound.seconds * TOKENS_PER_SECOND) + _MEDIA_MARKER_TOKENS
    )


@dataclass(frozen=True, slots=True)
class LlamaPrompt:
    """A rendered prompt."""

    tokens: list[int]
    """Tokens of the text, without those of the media."""
    text: str = ""
    """The prompt as text, which the server needs for a prompt with media."""
    media: tuple[EncodedMedia, ...] = ()
    """Images and recordings, in order."""

    @property
    def length(self) -> int:
        """Number of tokens; those of media are an upper estimate."""
        return len(self.tokens) + sum(medium.tokens for medium in self.media)

    def body(self, tokens: Sequence[int] = (), text: str = "") -> Any:
        """Return the prompt for the server, followed by the beginning of an answer as tokens and as text."""
        if not self.media:
            return [*self.tokens, *tokens]
        return {"prompt_string": self.text + text, "multimodal_data": [medium.data for medium in self.media]}


class LlamaPromptRenderer:
    """Renders the prompts of one loaded model."""

    def __init__(self, server: LlamaServer, card: ModelCard) -> None:
        self._server = server
        self._card = card

    async def fit(self, messages: list[BaseMessage], options: GenerationOptions) -> tuple[LlamaPrompt, int]:
        """Return a prompt that fits into the context window, and the number of dropped messages.

        Raises:
            EngineError: the newest message alone is too long, or has media that cannot be read.
        """
        room = self._server.context - min(options.max_tokens, max(_MIN_ANSWER_TOKENS, self._server.context // 4))
        kept = limit_by_length(messages, self._server.context)
        messages, dropped = kept, len(messages) - len(kept)
        while True:
            prompt = await self.prompt(messages, list(options.tools), options.think)
            if prompt.length <= room:
                return prompt, dropped
            kept = drop_oldest(messages, excess=prompt.length - room, total=prompt.length)
            if len(kept) == len(messages):
                raise context_exceeded(prompt.length, room)
            dropped += len(messages) - len(kept)
            messages = kept

    async def prompt(
        self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None = None
    ) -> LlamaPrompt:
        """Return the whole prompt, including the tokens of the chat template."""
        values = {"enable_thinking": think} if think is not None and self._card.thinking == "hybrid" else {}
        has_media = any(isinstance(message.content, list) for message in messages)
        media: tuple[EncodedMedia, ...] = ()
        # a prompt with media is tokenized by the server, control tokens included, so foreign ones are broken
        text_filter = break_control_tokens if has_media else mark_control_tokens
        written = openai_messages(messages, text=text_filter)
        if has_media:
            media = await asyncio.to_thread(extract_media, written, self._card.name, self._server)
        text = await self._server.render(written, openai_tools(tools, text=text_filter), **values)
        return LlamaPrompt(await self._tokens(text.replace(self._server.media_marker or "\0", "")), text, media)

    async def ends_in_thinking(self, prompt: LlamaPrompt) -> bool:
        """Return whether a prompt ends inside the thinking."""
        if self._card.thinking == "none":
            return False
        opening = await self._server.tokenize(f"{THINK_OPEN}\n", special=True)
        return prompt.tokens[-len(opening) :] == opening

    async def _tokens(self, text: str) -> list[int]:
        parts = split_marks(text)
        known = {part: await self._server.tokenize(part[0], special=not part[1]) for part in dict.fromkeys(parts)}
        return [token for part in parts for token in known[part]]
