"""Pictures and recordings as llama.cpp takes them: PNG and WAV, small enough for the context window."""

from __future__ import annotations

import asyncio
import io
import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.audio import TOKENS_A_SECOND, longest, read_sound
from qwendesk.engines.base import Options
from qwendesk.engines.context_window import fit, too_long, within_reach
from qwendesk.engines.images import read_picture
from qwendesk.engines.llamacpp.server import LlamaServer
from qwendesk.engines.message_format import defuse, mark, openai_messages, openai_tools, split_marks
from qwendesk.engines.stream.thinking import OPEN
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

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


_MIN_ANSWER = 256

"""Tokens of the context window that are always kept free for the answer."""


@dataclass(frozen=True, slots=True)
class LlamaPrompt:
    """A rendered prompt."""

    tokens: list[int]
    """All of it but what stands for its media."""
    text: str = ""
    """The same as text, which the server wants where media are in it."""
    media: tuple[Medium, ...] = ()
    """Pictures and recordings, in their order."""

    @property
    def length(self) -> int:
        """Its tokens; those of media are estimated, rather too many than too few."""
        return len(self.tokens) + sum(medium.tokens for medium in self.media)

    def body(self, said: Sequence[int] = (), words: str = "") -> Any:
        """Return it as the server takes it, with what has been said of the answer already."""
        if not self.media:
            return [*self.tokens, *said]
        return {"prompt_string": self.text + words, "multimodal_data": [medium.data for medium in self.media]}


class LlamaPrompter:
    """Writes the prompts of one loaded model, by its own chat template."""

    def __init__(self, server: LlamaServer, card: ModelCard) -> None:
        self._server = server
        self._card = card

    async def fitting(self, messages: list[BaseMessage], options: Options) -> tuple[LlamaPrompt, int]:
        """Return the prompt, and how many of the oldest messages had to be left out for it to fit.

        Raises:
            EngineError: the newest message alone is too long, or holds what cannot be read.
        """
        room = self._server.context - min(options.max_tokens, max(_MIN_ANSWER, self._server.context // 4))
        kept = within_reach(messages, self._server.context)
        messages, dropped = kept, len(messages) - len(kept)
        while True:
            prompt = await self.prompt(messages, list(options.tools), options.think)
            if prompt.length <= room:
                return prompt, dropped
            kept = fit(messages, excess=prompt.length - room, total=prompt.length)
            if len(kept) == len(messages):
                raise too_long(prompt.length, room)
            dropped += len(messages) - len(kept)
            messages = kept

    async def prompt(
        self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None = None
    ) -> LlamaPrompt:
        """Return the whole prompt, the chat template's own tokens included."""
        values = {"enable_thinking": think} if think is not None and self._card.thinking == "hybrid" else {}
        shown = any(isinstance(message.content, list) for message in messages)
        media: tuple[Medium, ...] = ()
        # with media the server cuts the text into tokens itself, control tokens too: what looks like one is broken up
        plain = defuse if shown else mark
        written = openai_messages(messages, text=plain)
        if shown:
            media = await asyncio.to_thread(media_of, written, self._card.name, self._server)
        text = await self._server.render(written, openai_tools(tools, text=plain), **values)
        return LlamaPrompt(await self._tokens(text.replace(self._server.media_marker or "\0", "")), text, media)

    async def thinks(self, prompt: LlamaPrompt) -> bool:
        """Tell whether a prompt ends inside the thinking."""
        if self._card.thinking == "none":
            return False
        opening = await self._server.tokenize(f"{OPEN}\n", special=True)
        return prompt.tokens[-len(opening) :] == opening

    async def _tokens(self, text: str) -> list[int]:
        parts = split_marks(text)
        known = {part: await self._server.tokenize(part[0], special=not part[1]) for part in dict.fromkeys(parts)}
        return [token for part in parts for token in known[part]]
