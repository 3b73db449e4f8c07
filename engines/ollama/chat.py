"""A chat model on an Ollama server: what its native API lacks is added here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Options, QwenChat, Usage
from qwendesk.engines.context_window import estimate, fit_estimated, too_long, within_reach
from qwendesk.engines.images import look_at_pictures
from qwendesk.engines.ollama.client import OllamaServer
from qwendesk.engines.ollama.errors import OllamaRefused
from qwendesk.engines.ollama.format import Served, Setup, delta_of, request
from qwendesk.engines.stream.thinking import CLOSE, CLOSING, ThinkingBudget, plain_thinking
from qwendesk.models.card import ModelCard


class Thought:
    """The thinking at the beginning of one answer.

    The server sends a piece for each token, so pieces are what is counted.
    """

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._text_budget = ThinkingBudget(budget, inside=False)
        self._said: list[str] = []
        self._split = False
        self.tokens = 0

    def feed(self, delta: Delta) -> bool:
        """Take the next piece; tell whether the thinking has to be closed now."""
        if self._budget is None or not (delta.text or delta.thinking):
            return False
        self.tokens += 1
        self._said.append(delta.thinking or delta.text)
        if delta.thinking:
            self._split = True
            return self.tokens >= self._budget
        return not self._split and self._text_budget.feed(delta.text, 1)

    def closing(self) -> Delta:
        """Return what ends the thinking, as a piece of the answer."""
        return Delta(thinking=_words()) if self._split else Delta(text=CLOSING)

    def message(self) -> dict[str, Any]:
        """Return what has been said as the beginning of the answer, for the model to go on with."""
        said = plain_thinking("".join(self._said))
        if self._split:
            # the blank line stands between thinking and answer, and shows servers that the answer has begun
            return {"role": "assistant", "thinking": said + _words(), "content": "\n"}
        return {"role": "assistant", "content": said + CLOSING}


def _words() -> str:
    return CLOSING.partition(CLOSE)[0]


_HOPELESS = 4

"""A text whose estimate is so many times the window is not sent: no token has that many bytes."""


class OllamaChat(QwenChat):
    """A chat model on an Ollama server."""

    _server: OllamaServer = PrivateAttr()
    _model: Served = PrivateAttr()
    _setup: Setup = PrivateAttr()

    def __init__(
        self, *, card: ModelCard, engine: str, max_tokens: int, server: OllamaServer, model: Served, setup: Setup
    ) -> None:
        super().__init__(card=card, engine=engine, max_tokens=max_tokens)
        self._server, self._model, self._setup = server, model, setup

    @property
    def capabilities(self) -> Capabilities:
        """What the server says of the model, in the context window that is asked for."""
        card = self.card
        return Capabilities(
            vision=card.vision,
            audio=card.audio,
            tools=card.tools,
            thinking=card.thinking,
            context=self._setup.context,
            languages=card.languages,
            loaded=self._setup.tag in self._server.loaded,
            cost=card.cost,
        )

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        await look_at_pictures(messages)
        messages, dropped = await self._fitting(messages, options)
        if dropped:
            yield Delta(dropped=dropped)
        async with aclosing(self._answer(messages, options)) as answer:
            async for delta in answer:
                yield delta

    async def _answer(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        """Answer; thinking whose budget is used up is closed, and a second request goes on behind it."""
        if options.think_budget is not None and options.think_budget <= 0:
            options = replace(options, think=False)
        thought = Thought(options.think_budget)
        async with aclosing(self._pieces(messages, options)) as pieces:
            async for delta in pieces:
                yield delta
                if thought.feed(delta):
                    break
            else:
                return
        yield thought.closing()
        left = options.max_tokens - thought.tokens
        if left <= 0:
            yield Delta(usage=Usage(0, thought.tokens), finish="length")
            return
        # the thinking is over, whatever the model would rather do
        rest = replace(options, max_tokens=left, think=False)
        async with aclosing(self._pieces(messages, rest, thought.message())) as pieces:
            async for delta in pieces:
                yield replace(delta, usage=_whole(delta.usage, thought.tokens)) if delta.usage else delta

    async def _pieces(
        self, messages: list[BaseMessage], options: Options, begun: dict[str, Any] | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Ask once; a server that refuses tools or thinking for this model is asked again without."""
        try:
            async with aclosing(self._ask(messages, options, begun)) as deltas:
                async for delta in deltas:
                    yield delta
        except OllamaRefused as refused:
            self._model = _without(self._model, refused)
            async with aclosing(self._ask(messages, options, begun)) as deltas:
                async for delta in deltas:
                    yield delta

    async def _ask(
        self, messages: list[BaseMessage], options: Options, begun: dict[str, Any] | None
    ) -> AsyncGenerator[Delta, None]:
        # pictures make it large
        body = await asyncio.to_thread(request, self._setup, self._model, messages, options)
        body["messages"] += [begun] if begun else []
        async with aclosing(self._server.chat(body)) as pieces:
            async for piece in pieces:
                yield delta_of(piece)

    async def _fitting(self, messages: list[BaseMessage], options: Options) -> tuple[list[BaseMessage], int]:
        """Return what fits into the window, and how many of the oldest messages had to be left out.

        Ollama cuts a prompt that is too long without a word, so a long one is measured first; the server keeps what
        it has read, and the answer begins from there.
        """
        context, tools = self._setup.context, options.tools
        near = within_reach(messages, context)
        kept, _ = fit_estimated(near, context=context, answer=options.max_tokens, tools=tools)
        guess = estimate(kept, tools)
        if guess > _HOPELESS * context:
            raise too_long(guess, context)
        if guess > context // 2:
            await self._measure(kept, options, guess)
        return kept, len(messages) - len(kept)

    async def _measure(self, messages: list[BaseMessage], options: Options, guess: int) -> None:
        """Raise an error if the server would cut the prompt."""
        context = self._setup.context
        once = replace(options, max_tokens=1, json_schema=None)
        tokens = 0
        async with aclosing(self._pieces(messages, once)) as pieces:
            async for delta in pieces:
                tokens = delta.usage.tokens_in if delta.usage else tokens
        # a full window has been cut to its size; far fewer tokens than the text has: messages were left out
        if tokens >= context - 1 or (guess > context and tokens * 3 < guess):
            raise too_long(max(tokens, guess), context)


def _whole(usage: Usage, before: int) -> Usage:
    """Count both parts of an answer as one; the first was part of the second's prompt."""
    return replace(usage, tokens_in=max(usage.tokens_in - before, 0), tokens_out=usage.tokens_out + before)


def _without(model: Served, refused: OllamaRefused) -> Served:
    """Return the model without what the server has refused."""
    if model.tools and "tools" in str(refused):
        return replace(model, tools=False)
    if model.thinking and "think" in str(refused):
        return replace(model, thinking=False)
    raise refused
