"""The llama.cpp engine and its chat model; concurrent answers share the context of one loaded model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Engine, EngineParts, Progress
from qwendesk.engines.chat import Delta, GenerationOptions, ModelCapabilities, QwenChat, Usage
from qwendesk.engines.concurrency import SingleFlight
from qwendesk.engines.cpu_threads import available_threads
from qwendesk.engines.llamacpp.prompt import LlamaPrompt, LlamaPromptRenderer
from qwendesk.engines.llamacpp.server import SLOTS, LlamaServer
from qwendesk.engines.stream.thinking import THINK_CUTOFF, THINK_OPEN, ThinkingBudget, reusable_thinking
from qwendesk.engines.timeouts import StreamTimeouts
from qwendesk.errors import EngineError, EngineFailed
from qwendesk.models.card import ModelCard
from qwendesk.settings import STARTER_MODEL, Settings


class ContextBudget:
    """Reserves context tokens for each answer; without a reservation llama.cpp cuts answers when the context is full.

    Args:
        tokens: size of the shared context.
    """

    def __init__(self, tokens: int) -> None:
        self._total = self._free = tokens
        self._lock = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def reserved(self, tokens: int) -> AsyncGenerator[None, None]:
        """Wait for and hold tokens for one answer, at most the whole context."""
        wanted = min(tokens, self._total)
        async with self._lock:
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
    """Runs GGUF files of the model store, and other GGUF files by path."""

    name = "llamacpp"
    parallel_requests = SLOTS
    uses_store = True
    fetch_advice = f"Run 'qwendesk chat' (fetches {STARTER_MODEL}) or 'qwendesk models pull NAME'."

    def __init__(self, parts: EngineParts) -> None:
        self._settings = parts.settings
        self._catalogue = parts.catalogue
        self._store = parts.store
        self._loaded: dict[str, LlamaCppChat] = {}
        self._loading = SingleFlight[LlamaCppChat]()

    @classmethod
    def create(cls, parts: EngineParts) -> LlamaCppEngine:
        """Create the engine without loading a model."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the models of the store."""
        stored = await asyncio.to_thread(self._store.installed)
        cards = [self._catalogue.get(model.name) for model in stored if model.name in self._catalogue]
        return await asyncio.to_thread(lambda: [self._store.served(card) for card in cards])

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Load a model of the store, or a file by its path."""
        if name not in self._loaded:
            return await self._loading.run(name, lambda: self._load(name, progress))
        return self._loaded[name]

    async def forget_prompts(self) -> None:
        """Erase the cached prompts of all slots; a slot that is answering is erased afterwards."""
        for chat in list(self._loaded.values()):
            await chat.forget_prompts()

    async def aclose(self) -> None:
        """Free all models, after waiting for those that are being loaded."""
        await self._loading.wait()
        while self._loaded:
            _, chat = self._loaded.popitem()
            await chat.aclose()

    async def _load(self, name: str, progress: Progress | None) -> LlamaCppChat:
        card, file = self._find(name)
        if progress:
            progress(f"Loading {card.name}", None)
        # stored here, because the caller may have been cancelled
        self._loaded[name] = await self._start(card, file)
        return self._loaded[name]

    def _find(self, name: str) -> tuple[ModelCard, Path]:
        card = self._store.served(self._catalogue.get(name))
        return card, self._store.path(card)

    async def _start(self, card: ModelCard, file: Path) -> LlamaCppChat:
        context = min(card.context, self._settings.context_tokens)
        threads = self._settings.threads or await available_threads()
        projector = self._store.projector(card)
        server = await LlamaServer.start(file, context=context, threads=threads, projector=projector)
        return LlamaCppChat(card=card, engine=self.name, server=server, settings=self._settings)


class LlamaCppChat(QwenChat):
    """A chat model on the embedded llama.cpp server."""

    _server: LlamaServer = PrivateAttr()
    _renderer: LlamaPromptRenderer = PrivateAttr()
    _budget: ContextBudget = PrivateAttr()
    _settings: Settings = PrivateAttr()

    def __init__(self, *, card: ModelCard, engine: str, server: LlamaServer, settings: Settings) -> None:
        super().__init__(card=card, engine=engine, max_tokens=settings.max_output_tokens)
        self._server = server
        self._renderer = LlamaPromptRenderer(server, card)
        self._budget = ContextBudget(server.total_context)
        self._settings = settings

    @property
    def capabilities(self) -> ModelCapabilities:
        """The capabilities of the loaded files; vision and audio as reported by llama.cpp."""
        return ModelCapabilities(
            vision=self._server.vision,
            audio=self._server.audio,
            context=self._server.context,
            loaded=True,
        )

    async def count_tokens(self, messages: list[BaseMessage], tools: list[dict[str, Any]] | None = None) -> int:
        """Return the number of tokens of the whole prompt, including those of the chat template."""
        return (await self._renderer.prompt(messages, tools or [])).length

    @property
    def server(self) -> LlamaServer:
        """The embedded server."""
        return self._server

    async def completion(self, messages: list[BaseMessage], options: GenerationOptions) -> dict[str, Any]:
        """Return the completion request for these messages."""
        prompt, _ = await self._renderer.fit(messages, options)
        return self._request(prompt, options)

    async def forget_prompts(self) -> None:
        """Erase the cached prompts of all slots; a slot that is answering is erased afterwards."""
        await self._server.forget_prompts()

    async def aclose(self) -> None:
        """Free the model."""
        await self._server.aclose()

    async def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        timeouts = self._timeouts()
        prompt, dropped = await timeouts.wait(self._renderer.fit(messages, options))
        if dropped:
            yield Delta(dropped=dropped)
        in_thinking = await timeouts.wait(self._renderer.ends_in_thinking(prompt))
        if in_thinking:
            yield Delta(text=THINK_OPEN)
        wanted = min(self._server.context, prompt.length + options.max_tokens)
        budget = ThinkingBudget(options.think_budget, in_thinking)
        # waiting for context is waiting for other answers: the time limits start after it
        async with (
            self._budget.reserved(wanted),
            aclosing(self._answer(prompt, options, budget, self._timeouts())) as answer,
        ):
            async for delta in answer:
                yield delta

    def _timeouts(self) -> StreamTimeouts:
        return StreamTimeouts(f"The model {self.card.name} on llama.cpp", self._settings)

    async def _answer(
        self, prompt: LlamaPrompt, options: GenerationOptions, budget: ThinkingBudget, timeouts: StreamTimeouts
    ) -> AsyncGenerator[Delta, None]:
        """Complete the prompt; thinking whose budget is used up is closed, and a second completion follows."""
        tokens: list[int] = []
        text = ""
        if not budget.used_up:
            async with aclosing(self._complete(self._request(prompt, options), timeouts)) as pieces:
                async for piece in pieces:
                    new_text, new_tokens = piece.get("content", ""), piece.get("tokens", ())
                    tokens += new_tokens
                    text += new_text
                    if new_text:
                        yield Delta(text=new_text)
                    if piece.get("stop"):
                        yield _last_delta(piece)
                        return
                    if budget.feed(new_text, len(new_tokens)):
                        break
                else:
                    raise _broken_off()
        yield Delta(text=THINK_CUTOFF)
        tokens += await timeouts.wait(self._server.tokenize(THINK_CUTOFF, special=True))
        async with aclosing(
            self._continue(prompt, tokens, reusable_thinking(text) + THINK_CUTOFF, options, timeouts)
        ) as rest:
            async for delta in rest:
                yield delta

    async def _continue(
        self, prompt: LlamaPrompt, tokens: list[int], text: str, options: GenerationOptions, timeouts: StreamTimeouts
    ) -> AsyncGenerator[Delta, None]:
        """Continue an answer after its first tokens; usage is reported for both parts together."""
        left = options.max_tokens - len(tokens)
        if left <= 0:
            yield Delta(usage=Usage(prompt.length, len(tokens)), finish="length")
            return
        request = self._request(prompt, options, tokens, text)
        async with aclosing(self._complete(request, timeouts)) as pieces:
            async for piece in pieces:
                if piece.get("content"):
                    yield Delta(text=piece["content"])
                if piece.get("stop"):
                    last = _last_delta(piece)
                    assert last.usage
                    usage = last.usage
                    whole = replace(
                        usage, tokens_in=usage.tokens_in - len(tokens), tokens_out=usage.tokens_out + len(tokens)
                    )
                    yield replace(last, usage=whole)
                    return
        raise _broken_off()

    async def _complete(self, body: dict[str, Any], timeouts: StreamTimeouts) -> AsyncGenerator[dict[str, Any], None]:
        # closed explicitly after a timeout, because closing frees the slot
        async with aclosing(self._server.complete(body)) as pieces, aclosing(timeouts.each(pieces)) as timed:
            async for piece in timed:
                yield piece

    def _request(
        self, prompt: LlamaPrompt, options: GenerationOptions, tokens: Sequence[int] = (), text: str = ""
    ) -> dict[str, Any]:
        sampling = options.sampling
        body: dict[str, Any] = {
            "prompt": prompt.body(tokens, text),
            # a negative number means no limit
            "n_predict": max(0, min(options.max_tokens, self._server.context - prompt.length) - len(tokens)),
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


def _last_delta(piece: dict[str, Any]) -> Delta:
    return Delta(usage=_usage(piece), finish="length" if piece.get("stop_type") == "limit" else "stop")


def _usage(piece: dict[str, Any]) -> Usage:
    timings = piece.get("timings", {})
    return Usage(
        tokens_in=piece.get("tokens_evaluated", 0),
        tokens_out=piece.get("tokens_predicted", 0),
        cached=timings.get("cache_n", 0),
        tokens_per_second=timings.get("predicted_per_second", 0.0),
    )
