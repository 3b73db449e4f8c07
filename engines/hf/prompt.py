"""Make a prompt's tokens from messages, by the chat template of the model's own tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import BaseMessage

from qwendesk.engines.base import Options
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.context import fit, too_long
from qwendesk.engines.hf.vocabulary import Vocabulary
from qwendesk.engines.plain_text import mark, split_marks
from qwendesk.engines.thinking import OPEN
from qwendesk.engines.wire import openai_messages
from qwendesk.errors import EngineError

_MIN_ANSWER = 256
"""Tokens of the context window that are always kept free for the answer."""
_LONGEST = 16
"""A text of more characters for each token of the window is not even cut into tokens."""
_USUAL = 3
"""Characters of a token, for the estimate that is used then."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt that fits into the context window."""

    tokens: list[int]
    thinks: bool = False
    """It ends inside the thinking."""
    dropped: int = 0
    """How many of the oldest messages were left out."""


class Prompter:
    """Writes the prompts of one model; its methods block and belong into a thread."""

    def __init__(self, vocabulary: Vocabulary, card: ModelCard, context: int) -> None:
        self._vocabulary = vocabulary
        self._card = card
        self._context = context

    def fitting(self, messages: list[BaseMessage], options: Options) -> Prompt:
        """Return the prompt, without the oldest messages where the window is full.

        Raises:
            EngineError: the newest message alone is too long.
        """
        room = self._context - min(options.max_tokens, max(_MIN_ANSWER, self._context // 4))
        dropped = 0
        while True:
            text = self.render(messages, list(options.tools), options.think)
            tokens = self._tokens(text)
            count = len(text) // _USUAL if tokens is None else len(tokens)
            if tokens is not None and count <= room:
                return Prompt(tokens, text.rstrip().endswith(OPEN), dropped)
            kept = fit(messages, excess=max(1, count - room), total=count)
            if len(kept) == len(messages):
                raise too_long(count, room)
            dropped += len(messages) - len(kept)
            messages = kept

    def count(self, messages: list[BaseMessage], tools: list[dict[str, Any]]) -> int:
        """Return how many tokens the whole prompt has."""
        return len(self._encode(self.render(messages, tools, None)))

    def render(self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None) -> str:
        """Return the prompt as text, with what only looks like control tokens marked."""
        values = {"enable_thinking": think} if think is not None and self._card.thinking == "hybrid" else {}
        written = [_for_template(message) for message in openai_messages(messages, text=mark)]
        try:
            return str(
                self._vocabulary.tokenizer.apply_chat_template(
                    written, tools=tools or None, add_generation_prompt=True, tokenize=False, **values
                )
            )
        except Exception as error:  # a template may raise what it likes
            raise EngineError(f"The chat template of {self._card.name!r} refuses these messages: {error}") from error

    def _tokens(self, text: str) -> list[int] | None:
        if len(text) > _LONGEST * self._context:
            return None
        return self._encode(text)

    def _encode(self, text: str) -> list[int]:
        return [token for part, plain in split_marks(text) for token in self._vocabulary.encode(part, plain=plain)]


def _for_template(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as Qwen's templates want it: text as one string, arguments of calls as objects."""
    if isinstance(message["content"], list):
        if other := [part["type"] for part in message["content"] if part["type"] != "text"]:
            raise EngineError(f"This model takes text only, and the message holds {other[0]!r}: choose a vision model.")
        message["content"] = "\n".join(part["text"] for part in message["content"])
    for call in message.get("tool_calls", ()):
        function = call["function"]
        function["arguments"] = json.loads(function["arguments"])
    return message
