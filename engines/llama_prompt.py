"""Make a prompt for the embedded llama.cpp from messages: tokens, or text with pictures and recordings in it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.base import Options
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.context import fit, too_long, within_reach
from qwendesk.engines.llama_media import Medium, media_of
from qwendesk.engines.llama_server import LlamaServer
from qwendesk.engines.plain_text import defuse, mark, split_marks
from qwendesk.engines.thinking import OPEN
from qwendesk.engines.wire import openai_messages, openai_tools

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
