"""An engine that plays a script: for tests and demonstrations, with no model at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from inspect import isawaitable

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat, Usage
from qwendesk.engines.context_window import fit, too_long, within_reach
from qwendesk.engines.stream.thinking import CLOSING
from qwendesk.errors import EngineError, EngineUnavailable
from qwendesk.models.card import ModelCard

_WORD = re.compile(r"\s*\S+|\s+$")

Script = Iterable[str | Exception] | Callable[[list[BaseMessage]], str | Awaitable[str]]
"""Replies in their order, or a function from the messages to the reply; an exception in the list is raised."""

FAMILY: tuple[ModelCard, ...] = (
    ModelCard(name="scripted-general", roles=("general",), parameters=7),
    ModelCard(name="scripted-coder", roles=("coder",), parameters=7),
    ModelCard(name="scripted-math", roles=("math",), parameters=7),
    ModelCard(name="scripted-vision", roles=("vision",), parameters=7, vision=True),
    ModelCard(name="scripted-thinking", roles=("thinking",), parameters=7, thinking="hybrid"),
)
"""One made-up model for each specialist."""


class ScriptedEngine(Engine):
    """Plays ``script``; without one, every model says which it is and what it was asked.

    A reply may hold ``<think>`` and ``<tool_call>`` tags: they are read as a real model's would be. ``calls`` keeps
    what each call was given, unless it is made of settings.
    """

    name = "scripted"
    lists_all = True

    def __init__(
        self,
        script: Script | None = None,
        *,
        cards: Iterable[ModelCard] = FAMILY,
        delay: float = 0.0,
        keep_calls: bool = True,
    ) -> None:
        """Make an engine.

        Args:
            script: what it answers.
            cards: its models.
            delay: seconds before each word.
            keep_calls: whether ``calls`` keeps what each call was given, as tests want; what people wrote stays in it.
        """
        self.keeps_calls = keep_calls
        self.calls: list[tuple[str, list[BaseMessage], Options]] = []
        self._cards = {card.name: card for card in cards}
        self.reply = _player(script)
        self.delay = delay
        self._chats: dict[str, ScriptedChat] = {}

    @classmethod
    def create(cls, parts: EngineParts) -> ScriptedEngine:
        """Make an engine without a script, which keeps nothing of what it is asked."""
        return cls(keep_calls=False)

    async def models(self) -> list[ModelCard]:
        """Return the made-up models."""
        return list(self._cards.values())

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return one of the made-up models."""
        if name not in self._cards:
            raise EngineUnavailable(f"No scripted model is called {name!r}; there are: {', '.join(self._cards)}.")
        if name not in self._chats:
            self._chats[name] = ScriptedChat(card=self._cards[name], home=self)
        return self._chats[name]

    async def forget_prompts(self) -> None:
        """Drop the calls that were kept."""
        self.calls.clear()


class ScriptedChat(QwenChat):
    """A chat model that plays its engine's script, word by word."""

    _home: ScriptedEngine = PrivateAttr()

    def __init__(self, *, card: ModelCard, home: ScriptedEngine) -> None:
        super().__init__(card=card, engine=home.name)
        self._home = home

    @property
    def capabilities(self) -> Capabilities:
        """What the card says."""
        card = self.card
        return Capabilities(card.vision, card.audio, card.tools, card.thinking, card.context, loaded=True, cost=0.0)

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        if self._home.keeps_calls:
            self._home.calls.append((self.card.name, messages, options))
        messages, dropped = self._fitting(messages)
        reply = self._home.reply(self.card, messages)
        text = await reply if isawaitable(reply) else reply
        text, stopped = _until(text, options.stop)
        pieces = _pieces(text, options.think_budget)
        shown = pieces[: options.max_tokens]
        for piece in shown:
            await asyncio.sleep(self._home.delay)
            yield Delta(text=piece)
        usage = Usage(tokens_in=_words(messages), tokens_out=len(shown))
        cut = len(shown) < len(pieces) and not stopped
        yield Delta(usage=usage, finish="length" if cut else "stop", dropped=dropped)

    def _fitting(self, messages: list[BaseMessage]) -> tuple[list[BaseMessage], int]:
        """Leave out the oldest messages where there are more words than the context window has tokens."""
        room = self.card.context
        kept = within_reach(messages, room)
        while (words := _words(kept)) > room:
            fewer = fit(kept, excess=words - room, total=words)
            if len(fewer) == len(kept):
                raise too_long(words, room)
            kept = fewer
        return kept, len(messages) - len(kept)


def _words(messages: list[BaseMessage]) -> int:
    return sum(len(message.text.split()) for message in messages)


def _until(text: str, stop: tuple[str, ...]) -> tuple[str, bool]:
    """Cut the reply at the first stop word."""
    found = [at for word in stop if (at := text.find(word)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


def _pieces(text: str, budget: int | None) -> list[str]:
    """Cut the reply into words, with its thinking closed where it has more of them than its budget."""
    head, tag, tail = text.partition("</think>")
    thought = _WORD.findall(head)
    if budget is None or not tag or len(thought) <= budget:
        return _WORD.findall(text)
    return [*thought[:budget], CLOSING, *_WORD.findall(tail)]


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
