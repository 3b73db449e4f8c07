"""Make a prompt's tokens from messages, by the chat template of the model's own tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.base import Options
from qwendesk.engines.context_window import fit, too_long, within_reach
from qwendesk.engines.message_format import mark, openai_messages, openai_tools, split_marks
from qwendesk.engines.stream.thinking import OPEN
from qwendesk.engines.transformers.modality import Sense, Shown
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

_MIN_ANSWER = 256
"""Tokens of the context window that are always kept free for the answer."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits into the context window."""

    tokens: list[int]
    thinks: bool = False
    """It ends inside the thinking."""
    dropped: int = 0
    """How many of the oldest messages were left out."""
    shown: Shown | None = None
    """The pictures or recordings in it."""
    keys: list[int] | None = None
    """The tokens, with each medium's own number in the place of its tokens."""


class Prompter:
    """Writes the prompts of one model; its methods block and belong into a thread."""

    def __init__(self, vocabulary: Vocabulary, card: ModelCard, context: int, sense: Sense | None = None) -> None:
        self._sense = sense
        self._vocabulary = vocabulary
        self._card = card
        self._context = context

    def fitting(self, messages: list[BaseMessage], options: Options) -> Prompt:
        """Return the prompt, without the oldest messages where the window is full.

        Raises:
            EngineError: the newest message alone is too long.
        """
        room = self._context - min(options.max_tokens, max(_MIN_ANSWER, self._context // 4))
        kept = within_reach(messages, self._context)
        messages, dropped = kept, len(messages) - len(kept)
        while True:
            text, media = self._render(messages, list(options.tools), options.think)
            tokens = self._encode(text)
            shown = self._sense.show(media) if self._sense and media else None
            count = len(tokens) + sum(shown.counts if shown else ())
            if count <= room:
                return self._prompt(tokens, shown, text.rstrip().endswith(OPEN), dropped)
            kept = fit(messages, excess=count - room, total=count)
            if len(kept) == len(messages):
                raise too_long(count, room)
            dropped += len(messages) - len(kept)
            messages = kept

    def _prompt(self, tokens: list[int], shown: Shown | None, thinks: bool, dropped: int) -> Prompt:
        if shown is None or self._sense is None:
            return Prompt(tokens, thinks, dropped)
        place = self._sense.token
        if tokens.count(place) != len(shown.counts):
            raise EngineError(f"The chat template of {self._card.name!r} has no place for pictures or recordings.")
        spread, keys, media = [], [], iter(zip(shown.counts, shown.marks, strict=True))
        for token in tokens:
            count, key = next(media) if token == place else (1, token)
            spread += [token] * count
            keys += [key] * count
        return Prompt(spread, thinks, dropped, shown, keys)

    def count(self, messages: list[BaseMessage], tools: list[dict[str, Any]]) -> int:
        """Return how many tokens the whole prompt has."""
        text, media = self._render(messages, tools, None)
        shown = sum(self._sense.show(media).counts) - len(media) if self._sense and media else 0
        return len(self._encode(text)) + shown

    def _render(
        self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None
    ) -> tuple[str, list[Any]]:
        """Return the prompt as text, with what only looks like control tokens marked, and its media."""
        media: list[Any] = []
        values = {"enable_thinking": think} if think is not None and self._card.thinking == "hybrid" else {}
        written = [self._for_template(message, media) for message in openai_messages(messages, text=mark)]
        try:
            text = self._vocabulary.tokenizer.apply_chat_template(
                written,
                tools=openai_tools(tools, text=mark) or None,
                add_generation_prompt=True,
                tokenize=False,
                **values,
            )
            return str(text), media
        except Exception as error:  # a template may raise what it likes
            raise EngineError(f"The chat template of {self._card.name!r} refuses these messages: {error}") from error

    def _encode(self, text: str) -> list[int]:
        return [token for part, plain in split_marks(text) for token in self._vocabulary.encode(part, plain=plain)]

    def _for_template(self, message: dict[str, Any], media: list[Any]) -> dict[str, Any]:
        """Return a message as Qwen's templates want it: arguments of calls as objects, media apart."""
        if isinstance(message["content"], list):
            parts = [made for part in message["content"] for made in self._parts(part, media)]
            texts = [part["text"] for part in parts if part["type"] == "text"]
            message["content"] = parts if len(texts) < len(parts) else "\n".join(texts)
        for call in message.get("tool_calls", ()):
            function = call["function"]
            function["arguments"] = json.loads(function["arguments"])
        return message

    def _parts(self, part: dict[str, Any], media: list[Any]) -> list[dict[str, Any]]:
        if part["type"] == "text":
            return [part]
        if self._sense is None or part["type"] != self._sense.kind:
            raise EngineError(
                f"{self._card.name!r} cannot take what the message holds, {part['type']!r}: choose a model that can."
            )
        read = self._sense.read(part)
        media += read
        return [dict(self._sense.place) for _ in read]
