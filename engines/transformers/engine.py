"""The transformers engine: runs safetensors and GGUF files in this process, with continuous batching."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Engine, EngineParts, Progress
from qwendesk.engines.chat import Delta, GenerationOptions, ModelCapabilities, QwenChat, Usage
from qwendesk.engines.concurrency import SingleFlight
from qwendesk.engines.stream.thinking import THINK_OPEN
from qwendesk.engines.timeouts import StreamTimeouts
from qwendesk.engines.transformers.request import GenerationRequest, TokenPiece
from qwendesk.errors import ConfigError, EngineTimeout
from qwendesk.models.card import ModelCard, without_media

if TYPE_CHECKING:
    from qwendesk.engines.transformers.model_cache import LoadedModel, ModelCache
    from qwendesk.engines.transformers.model_files import ModelFiles
    from qwendesk.engines.transformers.prompt import Prompt


class TransformersEngine(Engine):
    """Runs models of the Hub, folders of safetensors and GGUF files with transformers and torch."""

    name = "transformers"

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._model_cache: ModelCache | None = None
        self._chats: dict[str, TransformersChat] = {}
        self._resolving = SingleFlight[TransformersChat]()
        self._opening = asyncio.Lock()

    @classmethod
    def create(cls, parts: EngineParts) -> TransformersEngine:
        """Create the engine without importing torch."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the catalogue's models in the Hub's cache and, as GGUF files, in the store."""
        from qwendesk.engines.transformers.model_files import hub_models

        catalogue = self._parts.catalogue
        stored = await asyncio.to_thread(self._parts.store.installed)
        # of a GGUF file only the text model is loaded
        files = [without_media(catalogue.get(model.name)) for model in stored if model.name in catalogue]
        with _missing_packages():
            found = await asyncio.to_thread(hub_models, self._parts)
        return list({card.name: card for card in [*files, *found]}.values())

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Load a model by catalogue name, folder, GGUF file or repository; ``NAME+ADAPTER`` adds a LoRA adapter."""
        chat = self._chats.get(name) or await self._resolving.run(name, lambda: self._chat(name, progress))
        await chat.ready(progress)
        return chat

    async def forget_prompts(self) -> None:
        """Drop the prefix caches of all models."""
        if self._model_cache:
            self._model_cache.forget_prompts()

    async def aclose(self) -> None:
        """Free all models, after waiting for those that are being loaded."""
        await self._resolving.wait()
        if self._model_cache:
            await self._model_cache.aclose()

    async def _chat(self, name: str, progress: Progress | None) -> TransformersChat:
        from qwendesk.engines.transformers.model_files import find_model_files

        model_cache = await self._opened_cache()
        reported = _threadsafe_progress(progress) if progress else None
        files = await asyncio.to_thread(find_model_files, name, self._parts, reported)
        self._chats[name] = TransformersChat(engine=self.name, files=files, model_cache=model_cache)
        return self._chats[name]

    async def _opened_cache(self) -> ModelCache:
        async with self._opening:
            if self._model_cache is None:
                self._model_cache = await asyncio.to_thread(_open_model_cache, self._parts)
            return self._model_cache


class TransformersChat(QwenChat):
    """A chat model on transformers; a model that was unloaded to free memory is loaded again on use."""

    _files: ModelFiles = PrivateAttr()
    _model_cache: ModelCache = PrivateAttr()
    _context: int = PrivateAttr()

    def __init__(self, *, engine: str, files: ModelFiles, model_cache: ModelCache) -> None:
        super().__init__(card=files.card, engine=engine, max_tokens=model_cache.settings.max_output_tokens)
        self._files, self._model_cache = files, model_cache
        self._context = min(files.card.context, model_cache.settings.context_tokens)

    @property
    def model_cache(self) -> ModelCache:
        """The loaded models of the engine."""
        return self._model_cache

    @property
    def files(self) -> ModelFiles:
        """The files of the model."""
        return self._files

    @property
    def capabilities(self) -> ModelCapabilities:
        """The capabilities of the loaded weights, or of the card of a model that is not loaded."""
        card = self.card
        return ModelCapabilities(
            vision=self._model_cache.accepts(card.name, "image_url", card.vision),
            audio=self._model_cache.accepts(card.name, "input_audio", card.audio),
            context=self._context,
            loaded=self._model_cache.has(card.name),
        )

    async def ready(self, progress: Progress | None = None) -> LoadedModel:
        """Return the model in memory, loading it if needed.

        Raises:
            EngineUnavailable: the model cannot be loaded, or memory is short.
        """
        return await self._model_cache.ready(self._files, progress)

    async def count_tokens(self, messages: list[BaseMessage], tools: list[dict[str, Any]] | None = None) -> int:
        """Return the number of tokens of the whole prompt, including those of the chat template."""
        loaded = await self.ready()
        return await asyncio.to_thread(loaded.renderer.count, messages, tools or [])

    async def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        loaded = await self.ready()
        timeouts = StreamTimeouts(f"The model {self.card.name} on transformers", self._model_cache.settings)
        with loaded.in_use(), self._unloaded_on_timeout(loaded, timeouts):
            prompt = await timeouts.wait(asyncio.to_thread(loaded.renderer.fit, messages, options))
            if prompt.dropped:
                yield Delta(dropped=prompt.dropped)
            if prompt.ends_in_thinking:
                yield Delta(text=THINK_OPEN)
            request = _request(options, prompt, self._context)
            async with aclosing(_stream(loaded, request)) as pieces, aclosing(timeouts.each(pieces)) as timed:
                async for piece in timed:
                    yield _delta(piece, len(prompt.tokens))

    @contextmanager
    def _unloaded_on_timeout(self, loaded: LoadedModel, timeouts: StreamTimeouts) -> Iterator[None]:
        """Unload a model that hangs, so that the next message loads it again instead of waiting for its thread."""
        try:
            yield
        except EngineTimeout:
            self._model_cache.drop_hanging(self.card.name, loaded, timeouts.limit)
            raise


def _threadsafe_progress(progress: Progress) -> Progress:
    """Return a callback for other threads that reports progress on this event loop."""
    loop = asyncio.get_running_loop()

    def tell(text: str, fraction: float | None) -> None:
        loop.call_soon_threadsafe(progress, text, fraction)

    return tell


def _request(options: GenerationOptions, prompt: Prompt, context: int) -> GenerationRequest:
    return GenerationRequest(
        tokens=prompt.tokens,
        emit=lambda piece: None,
        sampling=options.sampling,
        seed=options.seed,
        stop=options.stop,
        max_tokens=min(options.max_tokens, context - len(prompt.tokens)),
        in_thinking=prompt.ends_in_thinking,
        think_budget=options.think_budget,
        json_schema=options.json_schema,
        media=prompt.media.tensors if prompt.media else {},
        keys=prompt.keys,
    )


async def _stream(loaded: LoadedModel, request: GenerationRequest) -> AsyncGenerator[TokenPiece, None]:
    """Yield the pieces of an answer; closing the generator cancels the request."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[TokenPiece]()

    def emit(piece: TokenPiece) -> None:
        with suppress(RuntimeError):  # the event loop has been closed
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

    request.emit = emit
    loaded.scheduler.submit(request)
    try:
        while True:
            piece = await pieces.get()
            if piece.error:
                raise piece.error
            yield piece
            if piece.finish:
                return
    finally:
        request.cancelled = True


def _delta(piece: TokenPiece, tokens_in: int) -> Delta:
    usage = Usage(tokens_in, piece.tokens_out, piece.cached) if piece.finish else None
    return Delta(text=piece.text, usage=usage, finish=piece.finish)


def _open_model_cache(parts: EngineParts) -> ModelCache:
    """Import torch and make the cache of models; takes seconds."""
    from qwendesk.engines.cpu_threads import use_passive_waiting

    use_passive_waiting()
    with _missing_packages():
        from qwendesk.engines.transformers.model_cache import ModelCache
    return ModelCache(parts.settings)


@contextmanager
def _missing_packages() -> Iterator[None]:
    """Raise ``ConfigError`` for a missing package, with the command that installs it."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"The engine 'transformers' lacks {error.name!r}: pip install 'qwendesk[transformers]'"
        ) from error
