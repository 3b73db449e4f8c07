"""An engine that answers from a script instead of a model, for tests and demonstrations."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from inspect import isawaitable

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Engine, EngineParts, Progress
from qwendesk.engines.chat import Delta, GenerationOptions, ModelCapabilities, QwenChat, Usage
from qwendesk.engines.context_window import context_exceeded, drop_oldest, limit_by_length
from qwendesk.engines.stream.thinking import THINK_CUTOFF
from qwendesk.errors import EngineError, EngineUnavailable, no_such
from qwendesk.models.card import ModelCard

_WORD = re.compile(r"\s*\S+|\s+$")
Script = Iterable[str | Exception] | Callable[[list[BaseMessage]], str | Awaitable[str]]
"""Replies in order, or a function from the messages to the reply; an exception among the replies is raised."""
SCRIPTED_MODELS: tuple[ModelCard, ...] = (
    ModelCard(name="scripted-general", roles=("general",), parameters=7),
    ModelCard(name="scripted-coder", roles=("coder",), parameters=7),
    ModelCard(name="scripted-math", roles=("math",), parameters=7),
    ModelCard(name="scripted-vision", roles=("vision",), parameters=7, vision=True),
    ModelCard(name="scripted-thinking", roles=("thinking",), parameters=7, thinking="hybrid"),
)
"""One model for each role."""


class ScriptedEngine(Engine):
    """Answers from ``script``; without one, each model answers with its name and the user's message.

    Tags such as ``<think>`` and ``<tool_call>`` in replies are parsed like those of a real model. ``calls`` records
    model, messages and options of each request, unless the engine was made from settings.
    """

    name = "scripted"
    is_listing_complete = True

    def __init__(
        self,
        script: Script | None = None,
        *,
        cards: Iterable[ModelCard] = SCRIPTED_MODELS,
        delay: float = 0.0,
        keep_calls: bool = True,
    ) -> None:
        """Create an engine.

        Args:
            script: the replies.
            cards: the models.
            delay: seconds before each word.
            keep_calls: whether ``calls`` records each request, including the text of users.
        """
        self.keeps_calls = keep_calls
        self.calls: list[tuple[str, list[BaseMessage], GenerationOptions]] = []
        self._cards = {card.name: card for card in cards}
        self.reply = _player(script)
        self.delay = delay
        self._chats: dict[str, ScriptedChat] = {}

    @classmethod
    def create(cls, parts: EngineParts) -> ScriptedEngine:
        """Create an engine without a script that records no requests."""
        return cls(keep_calls=False)

    async def models(self) -> list[ModelCard]:
        """Return the scripted models."""
        return list(self._cards.values())

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return one of the scripted models."""
        if name not in self._cards:
            raise EngineUnavailable(no_such("No scripted model is called", name, self._cards))
        if name not in self._chats:
            self._chats[name] = ScriptedChat(card=self._cards[name], engine=self)
        return self._chats[name]

    async def forget_prompts(self) -> None:
        """Drop the recorded requests."""
        self.calls.clear()


class ScriptedChat(QwenChat):
    """A chat model that streams the replies of its engine's script word by word."""

    _engine: ScriptedEngine = PrivateAttr()

    def __init__(self, *, card: ModelCard, engine: ScriptedEngine) -> None:
        super().__init__(card=card, engine=engine.name)
        self._engine = engine

    @property
    def capabilities(self) -> ModelCapabilities:
        """The capabilities of the model's card."""
        card = self.card
        return ModelCapabilities(card.vision, card.audio, card.context, loaded=True)

    async def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        if self._engine.keeps_calls:
            self._engine.calls.append((self.card.name, messages, options))
        messages, dropped = self._fitting(messages)
        reply = self._engine.reply(self.card, messages)
        text = await reply if isawaitable(reply) else reply
        text, stopped = _until(text, options.stop)
        pieces = _pieces(text, options.think_budget)
        shown = pieces[: options.max_tokens]
        for piece in shown:
            await asyncio.sleep(self._engine.delay)
            yield Delta(text=piece)
        usage = Usage(tokens_in=_words(messages), tokens_out=len(shown))
        cut = len(shown) < len(pieces) and not stopped
        yield Delta(usage=usage, finish="length" if cut else "stop", dropped=dropped)

    def _fitting(self, messages: list[BaseMessage]) -> tuple[list[BaseMessage], int]:
        """Drop the oldest messages if there are more words than the context window has tokens."""
        room = self.card.context
        kept = limit_by_length(messages, room)
        while (words := _words(kept)) > room:
            fewer = drop_oldest(kept, excess=words - room, total=words)
            if len(fewer) == len(kept):
                raise context_exceeded(words, room)
            kept = fewer
        return kept, len(messages) - len(kept)


def _words(messages: list[BaseMessage]) -> int:
    return sum(len(message.text.split()) for message in messages)


def _until(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """Cut the reply before the first stop word."""
    found = [at for word in stop if (at := text.find(word)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _pieces(text: str, budget: int | None) -> list[str]:
    """Split the reply into words; thinking with more words than its budget is closed."""
    head, tag, tail = text.partition("</think>")
    thought = _WORD.findall(head)
    if budget is None or not tag or len(thought) <= budget:
        return _WORD.findall(text)
    return [*thought[:budget], THINK_CUTOFF, *_WORD.findall(tail)]


def _player(script: Script | None) -> Callable[[ModelCard, list[BaseMessage]], str | Awaitable[str]]:
    if script is None:
        return lambda card, messages: f"This is {card.name}. You said: {messages[-1].text}"
    if callable(script):
        return lambda card, messages: script(messages)
    replies = iter(script)

    def play(card: ModelCard, messages: list[BaseMessage]) -> str:
        reply = next(replies, None)
        if reply is None:
            raise EngineError("The script has no reply left.")
        if isinstance(reply, Exception):
            raise reply
        return reply

    return play
