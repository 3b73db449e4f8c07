"""The context window of one loaded model, which all of its answers share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat, Usage
from qwendesk.engines.concurrency import Once
from qwendesk.engines.cpu_threads import free_threads
from qwendesk.engines.llamacpp.prompt import LlamaPrompt, LlamaPrompter
from qwendesk.engines.llamacpp.server import SLOTS, LlamaServer
from qwendesk.engines.stream.thinking import CLOSING, OPEN, ThinkingBudget, plain_thinking
from qwendesk.engines.timeouts import Pace
from qwendesk.errors import EngineError, EngineFailed
from qwendesk.models.card import ModelCard
from qwendesk.settings import STARTER_MODEL, Settings


class Room:
    """Hands out tokens of the window; who finds too few free waits in line, where llama.cpp would break off answers.

    Args:
        tokens: size of the window.
    """

    def __init__(self, tokens: int) -> None:
        self._all = self._free = tokens
        self._line = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def taken(self, tokens: int) -> AsyncGenerator[None, None]:
        """Keep so many tokens for one answer, the whole window at most."""
        wanted = min(tokens, self._all)
        async with self._line:
            while self._free < wanted:
                self._freed.clear()
                await self._freed.wait()
            self._free -= wanted
        try:
            yield
        finally:
            self._free += wanted
            self._freed.set()


class LlamaCppEngine(Engine):
    """Runs the model store's GGUF files, and any other GGUF file by its path."""

    name = "llamacpp"
    parallel = SLOTS
    uses_store = True
    fetch_advice = f"Run 'qwendesk chat' (fetches {STARTER_MODEL}) or 'qwendesk models pull NAME'."

    def __init__(self, parts: EngineParts) -> None:
        self._settings = parts.settings
        self._catalogue = parts.catalogue
        self._store = parts.store
        self._loaded: dict[str, LlamaCppChat] = {}
        self._loading = Once[LlamaCppChat]()

    @classmethod
    def create(cls, parts: EngineParts) -> LlamaCppEngine:
        """Make the engine; no model is loaded yet."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the cards of the files in the store."""
        stored = await asyncio.to_thread(self._store.installed)
        cards = [self._catalogue.get(model.name) for model in stored if model.name in self._catalogue]
        return await asyncio.to_thread(lambda: [self._store.served(card) for card in cards])

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Load a model of the store, or a file by its path."""
        if name not in self._loaded:
            return await self._loading.make(name, lambda: self._load(name, progress))
        return self._loaded[name]

    async def forget_prompts(self) -> None:
        """Erase the prompts of all slots; one that answers is erased when it has."""
        for chat in list(self._loaded.values()):
            await chat.forget_prompts()

    async def aclose(self) -> None:
        """Free all loaded models, when those that are being loaded are there."""
        await self._loading.wait()
        while self._loaded:
            _, chat = self._loaded.popitem()
            await chat.aclose()

    async def _load(self, name: str, progress: Progress | None) -> LlamaCppChat:
        card, file = self._find(name)
        if progress:
            progress(f"Loading {card.name}", None)
        # kept here: whoever asked for it may have left
        self._loaded[name] = await self._start(card, file)
        return self._loaded[name]

    def _find(self, name: str) -> tuple[ModelCard, Path]:
        card = self._store.served(self._catalogue.get(name))
        return card, self._store.path(card)

    async def _start(self, card: ModelCard, file: Path) -> LlamaCppChat:
        context = min(card.context, self._settings.context_tokens)
        threads = self._settings.threads or await free_threads()
        projector = self._store.projector(card)
        server = await LlamaServer.start(file, context=context, threads=threads, projector=projector)
        return LlamaCppChat(card=card, engine=self.name, server=server, settings=self._settings)


class LlamaCppChat(QwenChat):
    """A chat model on an embedded llama.cpp."""

    _server: LlamaServer = PrivateAttr()
    _prompter: LlamaPrompter = PrivateAttr()
    _room: Room = PrivateAttr()
    _settings: Settings = PrivateAttr()

    def __init__(self, *, card: ModelCard, engine: str, server: LlamaServer, settings: Settings) -> None:
        super().__init__(card=card, engine=engine, max_tokens=settings.max_output_tokens)
        self._server = server
        self._prompter = LlamaPrompter(server, card)
        self._room = Room(server.room)
        self._settings = settings

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded files can do, whatever the card says of pictures and sound."""
        card = self.card
        return Capabilities(
            vision=self._server.vision,
            audio=self._server.audio,
            tools=card.tools,
            thinking=card.thinking,
            context=self._server.context,
            languages=card.languages,
            loaded=True,
            cost=card.cost,
        )

    async def count_tokens(self, messages: list[BaseMessage], tools: list[dict[str, Any]] | None = None) -> int:
        """Return how many tokens the whole prompt has, the chat template's own included."""
        return (await self._prompter.prompt(messages, tools or [])).length

    @property
    def library(self) -> Any:
        """The ``xllamacpp.Server`` that holds the model."""
        return self._server.library

    async def completion(self, messages: list[BaseMessage], options: Options) -> dict[str, Any]:
        """Return the request that llama.cpp is sent for these messages."""
        prompt, _ = await self._prompter.fitting(messages, options)
        return self._request(prompt, options)

    async def forget_prompts(self) -> None:
        """Erase the prompts of all slots; one that answers is erased when it has."""
        await self._server.forget_prompts()

    async def aclose(self) -> None:
        """Free the model."""
        await self._server.aclose()

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        pace = self._pace()
        prompt, dropped = await pace.wait(self._prompter.fitting(messages, options))
        if dropped:
            yield Delta(dropped=dropped)
        inside = await pace.wait(self._prompter.thinks(prompt))
        if inside:
            yield Delta(text=OPEN)
        wanted = min(self._server.context, prompt.length + options.max_tokens)
        budget = ThinkingBudget(options.think_budget, inside)
        # who waits for room waits for other answers: the model's own time begins behind it
        async with self._room.taken(wanted), aclosing(self._answer(prompt, options, budget, self._pace())) as answer:
            async for delta in answer:
                yield delta

    def _pace(self) -> Pace:
        return Pace(f"The model {self.card.name} on llama.cpp", self._settings)

    async def _answer(
        self, prompt: LlamaPrompt, options: Options, budget: ThinkingBudget, pace: Pace
    ) -> AsyncGenerator[Delta, None]:
        """Complete the prompt; thinking whose budget is used up is closed, and the completion goes on behind it."""
        said: list[int] = []
        words = ""
        if not budget.used_up:
            async with aclosing(self._complete(self._request(prompt, options), pace)) as pieces:
                async for piece in pieces:
                    text, tokens = piece.get("content", ""), piece.get("tokens", ())
                    said += tokens
                    words += text
                    if text:
                        yield Delta(text=text)
                    if piece.get("stop"):
                        yield _last(piece)
                        return
                    if budget.feed(text, len(tokens)):
                        break
                else:
                    raise _broken_off()
        yield Delta(text=CLOSING)
        said += await pace.wait(self._server.tokenize(CLOSING, special=True))
        async with aclosing(self._after(prompt, said, plain_thinking(words) + CLOSING, options, pace)) as rest:
            async for delta in rest:
                yield delta

    async def _after(
        self, prompt: LlamaPrompt, said: list[int], words: str, options: Options, pace: Pace
    ) -> AsyncGenerator[Delta, None]:
        """Go on with an answer of which some has been said; it counts as one."""
        left = options.max_tokens - len(said)
        if left <= 0:
            yield Delta(usage=Usage(prompt.length, len(said)), finish="length")
            return
        request = self._request(prompt, options, said, words)
        async with aclosing(self._complete(request, pace)) as pieces:
            async for piece in pieces:
                if piece.get("content"):
                    yield Delta(text=piece["content"])
                if piece.get("stop"):
                    last = _last(piece)
                    assert last.usage
                    usage = last.usage
                    whole = replace(
                        usage, tokens_in=usage.tokens_in - len(said), tokens_out=usage.tokens_out + len(said)
                    )
                    yield replace(last, usage=whole)
                    return
        raise _broken_off()

    async def _complete(self, body: dict[str, Any], pace: Pace) -> AsyncGenerator[dict[str, Any], None]:
        # closed at once when the model is given up, for that is what frees its slot
        async with aclosing(self._server.complete(body)) as pieces, aclosing(pace.each(pieces)) as paced:
            async for piece in paced:
                yield piece

    def _request(
        self, prompt: LlamaPrompt, options: Options, said: Sequence[int] = (), words: str = ""
    ) -> dict[str, Any]:
        sampling = options.sampling
        body: dict[str, Any] = {
            "prompt": prompt.body(said, words),
            # a negative number would mean no limit
            "n_predict": max(0, min(options.max_tokens, self._server.context - prompt.length) - len(said)),
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


def _broken_off() -> EngineError:
    return EngineFailed("llama.cpp broke off in the middle of its answer: ask again.")


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
