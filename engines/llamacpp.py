"""The embedded engine: GGUF files in this process through llama.cpp, no server to install."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat, Usage
from qwendesk.engines.budget import ThinkingBudget
from qwendesk.engines.catalogue import ModelCard, without_senses
from qwendesk.engines.context import fit, too_long
from qwendesk.engines.llama_server import SLOTS, LlamaServer
from qwendesk.engines.plain_text import mark, split_marks
from qwendesk.engines.thinking import CLOSING
from qwendesk.engines.threads import free_threads
from qwendesk.engines.wire import openai_messages

_MIN_ANSWER = 256
"""Tokens of the context window that are always kept free for the answer."""


class LlamaCppEngine(Engine):
    """Runs the model store's GGUF files, and any other GGUF file by its path."""

    name = "llamacpp"
    parallel = SLOTS

    def __init__(self, parts: EngineParts) -> None:
        self._settings = parts.settings
        self._catalogue = parts.catalogue
        self._store = parts.store
        self._loaded: dict[str, LlamaCppChat] = {}
        self._loading = asyncio.Lock()

    @classmethod
    def create(cls, parts: EngineParts) -> LlamaCppEngine:
        """Make the engine; no model is loaded yet."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the cards of the files in the store."""
        stored = await asyncio.to_thread(self._store.installed)
        cards = [self._catalogue.get(model.name) for model in stored if model.name in self._catalogue]
        return [without_senses(card) for card in cards]

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Load a model of the store, or a file by its path."""
        if name in self._loaded:  # another one that is being loaded keeps nobody waiting for this one
            return self._loaded[name]
        async with self._loading:
            if name not in self._loaded:
                card, file = self._find(name)
                if progress:
                    progress(f"Loading {card.name}", None)
                self._loaded[name] = await self._start(card, file)
            return self._loaded[name]

    async def aclose(self) -> None:
        """Free all loaded models."""
        while self._loaded:
            _, chat = self._loaded.popitem()
            await chat.aclose()

    def _find(self, name: str) -> tuple[ModelCard, Path]:
        card = self._catalogue.get(name)
        return card, self._store.path(card)

    async def _start(self, card: ModelCard, file: Path) -> LlamaCppChat:
        context = min(card.context, self._settings.context_tokens)
        threads = self._settings.threads or await free_threads()
        server = await LlamaServer.start(file, context=context, threads=threads)
        chat = LlamaCppChat(card=card, engine=self.name, max_tokens=self._settings.max_output_tokens)
        chat._server = server
        return chat


class LlamaCppChat(QwenChat):
    """A chat model on an embedded llama.cpp."""

    _server: LlamaServer = PrivateAttr()

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded file can do: text only, whatever its card says of pictures."""
        card = self.card
        return Capabilities(
            tools=card.tools,
            thinking=card.thinking,
            context=self._server.context,
            languages=card.languages,
            loaded=True,
            cost=card.cost,
        )

    async def count_tokens(self, messages: list[BaseMessage], tools: list[dict[str, Any]] | None = None) -> int:
        """Return how many tokens the whole prompt has, the chat template's own included."""
        return len(await self._prompt(messages, tools or [], think=None))

    async def aclose(self) -> None:
        """Free the model."""
        await self._server.aclose()

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncIterator[Delta]:
        tokens, dropped = await self._fitting(messages, options)
        if dropped:
            yield Delta(dropped=dropped)
        inside = await self._ends_in_think(tokens)
        if inside:
            yield Delta(text="<think>")
        async with aclosing(self._answer(tokens, options, ThinkingBudget(options.think_budget, inside))) as answer:
            async for delta in answer:
                yield delta

    async def _answer(self, tokens: list[int], options: Options, budget: ThinkingBudget) -> AsyncGenerator[Delta, None]:
        """Complete the prompt; thinking whose budget is used up is closed, and the completion goes on behind it."""
        said: list[int] = []
        if not budget.used_up:
            async with aclosing(self._server.complete(self._request(tokens, options))) as pieces:
                async for piece in pieces:
                    said += piece.get("tokens", ())
                    if piece.get("content"):
                        yield Delta(text=piece["content"])
                    if piece.get("stop"):
                        yield _last(piece)
                        return
                    if budget.feed(piece.get("content", ""), len(piece.get("tokens", ()))):
                        break
        closing = await self._server.tokenize(CLOSING, special=True)
        yield Delta(text=CLOSING)
        async with aclosing(self._after(tokens, said + closing, options)) as rest:
            async for delta in rest:
                yield delta

    async def _after(self, tokens: list[int], said: list[int], options: Options) -> AsyncGenerator[Delta, None]:
        """Go on with an answer of which some has been said; it counts as one."""
        left = options.max_tokens - len(said)
        if left <= 0:
            yield Delta(usage=Usage(len(tokens), len(said)), finish="length")
            return
        async with aclosing(self._server.complete(self._request(tokens + said, options, left))) as pieces:
            async for piece in pieces:
                if piece.get("content"):
                    yield Delta(text=piece["content"])
                if piece.get("stop"):
                    last = _last(piece)
                    assert last.usage
                    whole = replace(last.usage, tokens_in=len(tokens), tokens_out=last.usage.tokens_out + len(said))
                    yield replace(last, usage=whole)

    async def _fitting(self, messages: list[BaseMessage], options: Options) -> tuple[list[int], int]:
        """Return the prompt's tokens and how many of the oldest messages had to be left out for it to fit."""
        room = self._server.context - min(options.max_tokens, max(_MIN_ANSWER, self._server.context // 4))
        dropped = 0
        while True:
            tokens = await self._prompt(messages, list(options.tools), options.think)
            if len(tokens) <= room:
                return tokens, dropped
            kept = fit(messages, excess=len(tokens) - room, total=len(tokens))
            if len(kept) == len(messages):
                raise too_long(len(tokens), room)
            dropped += len(messages) - len(kept)
            messages = kept

    async def _prompt(self, messages: list[BaseMessage], tools: list[dict[str, Any]], think: bool | None) -> list[int]:
        values = {"enable_thinking": think} if think is not None and self.card.thinking == "hybrid" else {}
        prompt = await self._server.render(openai_messages(messages, text=mark), tools, **values)
        parts = split_marks(prompt)
        known = {part: await self._server.tokenize(part[0], special=not part[1]) for part in dict.fromkeys(parts)}
        return [token for part in parts for token in known[part]]

    async def _ends_in_think(self, tokens: list[int]) -> bool:
        if self.card.thinking == "none":
            return False
        opening = await self._server.tokenize("<think>\n", special=True)
        return tokens[-len(opening) :] == opening

    def _request(self, tokens: list[int], options: Options, most: int | None = None) -> dict[str, Any]:
        sampling = options.sampling
        body: dict[str, Any] = {
            "prompt": tokens,
            "n_predict": min(most or options.max_tokens, self._server.context - len(tokens)),
            "return_tokens": True,
            "cache_prompt": True,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            "repeat_penalty": sampling.repetition_penalty,
            "repeat_last_n": self._server.context,
            "stop": list(options.stop),
        }
        if options.seed is not None:
            body["seed"] = options.seed
        if options.json_schema is not None:
            body["json_schema"] = options.json_schema
        return body


def _last(piece: dict[str, Any]) -> Delta:
    return Delta(usage=_usage(piece), finish="length" if piece.get("stop_type") == "limit" else "stop")


def _usage(piece: dict[str, Any]) -> Usage:
    timings = piece.get("timings", {})
    return Usage(
        tokens_in=piece.get("tokens_evaluated", 0),
        tokens_out=piece.get("tokens_predicted", 0),
        cached=timings.get("cache_n", 0),
        tokens_per_second=timings.get("predicted_per_second", 0.0),
    )
