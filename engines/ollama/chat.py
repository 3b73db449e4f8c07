"""A chat model on an Ollama server, with the thinking budget and context check that Ollama's API lacks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.chat import Delta, GenerationOptions, ModelCapabilities, QwenChat, Usage
from qwendesk.engines.context_window import context_exceeded, estimate_tokens, fit_by_estimate, limit_by_length
from qwendesk.engines.media import check_images
from qwendesk.engines.ollama.client import OllamaClient, OllamaRefused
from qwendesk.engines.ollama.format import LoadSettings, ServedModel, chat_request, delta_from
from qwendesk.engines.stream.thinking import THINK_CLOSE, THINK_CUTOFF, ThinkingBudget, reusable_thinking
from qwendesk.models.card import ModelCard

_MAX_ESTIMATE_RATIO = 4
"""Estimated tokens as a multiple of the context window above which a text cannot fit."""


class StreamedThinking:
    """Counts the thinking tokens at the beginning of one answer; the server sends one piece per token."""

    def __init__(self, budget: int | None) -> None:
        self._budget = budget
        self._text_budget = ThinkingBudget(budget, inside=False)
        self._pieces: list[str] = []
        self._is_split_off = False
        self.tokens = 0

    def feed(self, delta: Delta) -> bool:
        """Process the next piece; return whether the thinking has to be closed."""
        if self._budget is None or not (delta.text or delta.thinking):
            return False
        self.tokens += 1
        self._pieces.append(delta.thinking or delta.text)
        if delta.thinking:
            self._is_split_off = True
            return self.tokens >= self._budget
        return not self._is_split_off and self._text_budget.feed(delta.text, 1)

    def closing(self) -> Delta:
        """Return the piece that closes the thinking."""
        return Delta(thinking=_cutoff_words()) if self._is_split_off else Delta(text=THINK_CUTOFF)

    def message(self) -> dict[str, Any]:
        """Return the thinking as the beginning of the assistant's message, for the second request."""
        thinking = reusable_thinking("".join(self._pieces))
        if self._is_split_off:
            # the line feed separates thinking and answer, and tells servers that the answer has begun
            return {"role": "assistant", "thinking": thinking + _cutoff_words(), "content": "\n"}
        return {"role": "assistant", "content": thinking + THINK_CUTOFF}


def _cutoff_words() -> str:
    return THINK_CUTOFF.partition(THINK_CLOSE)[0]


class OllamaChat(QwenChat):
    """A chat model on an Ollama server."""

    _server: OllamaClient = PrivateAttr()
    _model: ServedModel = PrivateAttr()
    _load_settings: LoadSettings = PrivateAttr()

    def __init__(
        self,
        *,
        card: ModelCard,
        engine: str,
        max_tokens: int,
        server: OllamaClient,
        model: ServedModel,
        load_settings: LoadSettings,
    ) -> None:
        super().__init__(card=card, engine=engine, max_tokens=max_tokens)
        self._server, self._model, self._load_settings = server, model, load_settings

    @property
    def capabilities(self) -> ModelCapabilities:
        """The capabilities reported by the server, with the context window that is requested."""
        card = self.card
        return ModelCapabilities(
            vision=card.vision,
            audio=card.audio,
            context=self._load_settings.context,
            loaded=self._load_settings.tag in self._server.loaded,
        )

    async def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        await check_images(messages)
        messages, dropped = await self._fit(messages, options)
        if dropped:
            yield Delta(dropped=dropped)
        async with aclosing(self._answer(messages, options)) as answer:
            async for delta in answer:
                yield delta

    async def _answer(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        """Answer; thinking whose budget is used up is closed, and a second request continues after it."""
        if options.think_budget is not None and options.think_budget <= 0:
            options = replace(options, think=False)
        thought = StreamedThinking(options.think_budget)
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
        # thinking is off, or the model could open it again
        rest = replace(options, max_tokens=left, think=False)
        async with aclosing(self._pieces(messages, rest, thought.message())) as pieces:
            async for delta in pieces:
                yield replace(delta, usage=_combined_usage(delta.usage, thought.tokens)) if delta.usage else delta

    async def _pieces(
        self, messages: list[BaseMessage], options: GenerationOptions, begun: dict[str, Any] | None = None
    ) -> AsyncGenerator[Delta, None]:
        """Send a request; if the server refuses tools or thinking for this model, send it again without them."""
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
        self, messages: list[BaseMessage], options: GenerationOptions, begun: dict[str, Any] | None
    ) -> AsyncGenerator[Delta, None]:
        # in a thread, because images make the request large
        body = await asyncio.to_thread(chat_request, self._load_settings, self._model, messages, options)
        body["messages"] += [begun] if begun else []
        async with aclosing(self._server.chat(body)) as pieces:
            async for piece in pieces:
                yield delta_from(piece)

    async def _fit(self, messages: list[BaseMessage], options: GenerationOptions) -> tuple[list[BaseMessage], int]:
        """Return the messages that fit into the context window, and the number of dropped messages.

        Ollama truncates a prompt that is too long without an error, so the tokens of a long prompt are counted first;
        the server caches the prompt, so that the answer does not process it again.
        """
        context, tools = self._load_settings.context, options.tools
        near = limit_by_length(messages, context)
        kept, _ = fit_by_estimate(near, context=context, answer_tokens=options.max_tokens, tools=tools)
        guess = estimate_tokens(kept, tools)
        if guess > _MAX_ESTIMATE_RATIO * context:
            raise context_exceeded(guess, context)
        if guess > context // 2:
            await self._measure(kept, options, guess)
        return kept, len(messages) - len(kept)

    async def _measure(self, messages: list[BaseMessage], options: GenerationOptions, guess: int) -> None:
        """Raise ``EngineError`` if the server would truncate the prompt."""
        context = self._load_settings.context
        once = replace(options, max_tokens=1, json_schema=None)
        tokens = 0
        async with aclosing(self._pieces(messages, once)) as pieces:
            async for delta in pieces:
                tokens = delta.usage.tokens_in if delta.usage else tokens
        # a full window means that the prompt was cut; far fewer tokens than estimated: messages were dropped
        if tokens >= context - 1 or (guess > context and tokens * 3 < guess):
            raise context_exceeded(max(tokens, guess), context)


def _combined_usage(usage: Usage, before: int) -> Usage:
    """Return the usage of both requests of an answer; the first part was in the prompt of the second request."""
    return replace(usage, tokens_in=max(usage.tokens_in - before, 0), tokens_out=usage.tokens_out + before)


def _without(model: ServedModel, refused: OllamaRefused) -> ServedModel:
    """Return the model without the feature that the server refused."""
    if model.tools and "tools" in str(refused):
        return replace(model, tools=False)
    if model.thinking and "think" in str(refused):
        return replace(model, thinking=False)
    raise refused
