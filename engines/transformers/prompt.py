"""Render messages to the tokens of a prompt, by the chat template of the model's tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.base import GenerationOptions
from qwendesk.engines.context_window import context_exceeded, drop_oldest, limit_by_length
from qwendesk.engines.message_format import mark_control_tokens, openai_messages, openai_tools, split_marks
from qwendesk.engines.stream.thinking import THINK_OPEN
from qwendesk.engines.transformers.modality import Modality, ModalityInput
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard

_MIN_ANSWER_TOKENS = 256
"""Tokens of the context window that are reserved for the answer."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits into the context window."""

    tokens: list[int]
    ends_in_thinking: bool = False
    """Whether it ends inside the thinking."""
    dropped: int = 0
    """Number of the oldest messages that were dropped."""
    media: ModalityInput | None = None
    """Its images or recordings."""
    keys: list[int] | None = None
    """The tokens, with the key of a medium in place of its tokens; None without media."""


class PromptRenderer:
    """Renders the prompts of one model; its methods block and are called in a thread."""

    def __init__(self, vocabulary: Vocabulary, card: ModelCard, context: int, modality: Modality | None = None) -> None:
        self._modality = modality
        self._vocabulary = vocabulary
        self._card = card
        self._context = context

    def fit(self, messages: list[BaseMessage], options: GenerationOptions) -> Prompt:
        """Return a prompt that fits into the context window, without the oldest messages if needed.

        Raises:
            EngineError: the newest message alone is too long.
        """
        room = self._context - min(options.max_tokens, max(_MIN_ANSWER_TOKENS, self._context // 4))
        kept = limit_by_length(messages, self._context)
        messages, dropped = kept, len(messages) - len(kept)
        while True:
            text, media = self._render(messages, list(options.tools), options.think)
            tokens = self._encode(text)
            shown = self._modality.convert(media) if self._modality and media else None
            count = len(tokens) + sum(shown.counts if shown else ())
            if count <= room:
                return self._prompt(tokens, shown, text.rstrip().endswith(THINK_OPEN), dropped)
            kept = drop_oldest(messages, excess=count - room, total=count)
            if len(kept) == len(messages):
                raise context_exceeded(count, room)
            dropped += len(messages) - len(kept)
            messages = kept

    def _prompt(self, tokens: list[int], shown: ModalityInput | None, thinks: bool, dropped: int) -> Prompt:
        if shown is None or self._modality is None:
            return Prompt(tokens, thinks, dropped)
        media_token = self._modality.token
        if tokens.count(media_token) != len(shown.counts):
            raise EngineError(f"The chat template of {self._card.name!r} does not support images or recordings.")
        spread, keys, media = [], [], iter(zip(shown.counts, shown.keys, strict=True))
        for token in tokens:
            count, key = next(media) if token == media_token else (1, token)
            spread += [token] * count
            keys += [key] * count
        return Prompt(spread, thinks, dropped, shown, keys)

    def count(self, messages: list[BaseMessage], tools: list[dict[str, Any]]) -> int:
        """Return the number of tokens of the whole prompt."""
        text, media = self._render(messages, tools, None)
        shown = sum(self._modality.convert(media).counts) - len(media) if self._modality and media else 0
        return len(self._encode(text)) + shown

    def _render(
        self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None
    ) -> tuple[str, list[Any]]:
        """Return the prompt as text, with foreign control tokens marked, and its media."""
        media: list[Any] = []
        values = {"enable_thinking": think} if think is not None and self._card.thinking == "hybrid" else {}
        written = [
            self._for_template(message, media) for message in openai_messages(messages, text=mark_control_tokens)
        ]
        try:
            text = self._vocabulary.tokenizer.apply_chat_template(
                written,
                tools=openai_tools(tools, text=mark_control_tokens) or None,
                add_generation_prompt=True,
                tokenize=False,
                **values,
            )
            return str(text), media
        except Exception as error:  # templates raise errors of any class
            raise EngineError(f"The chat template of {self._card.name!r} refuses these messages: {error}") from error

    def _encode(self, text: str) -> list[int]:
        return [token for part, plain in split_marks(text) for token in self._vocabulary.encode(part, plain=plain)]

    def _for_template(self, message: dict[str, Any], media: list[Any]) -> dict[str, Any]:
        """Return a message for Qwen's chat templates: arguments of calls as objects, media apart."""
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
        if self._modality is None or part["type"] != self._modality.part_type:
            raise EngineError(
                f"{self._card.name!r} does not accept {part['type']!r} in a message: choose a model that does."
            )
        read = self._modality.read(part)
        media += read
        return [dict(self._modality.placeholder) for _ in read]
