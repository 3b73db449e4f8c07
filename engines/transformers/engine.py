"""The transformers engine: safetensors and GGUF files in this process, many chats in one batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat, Usage
from qwendesk.engines.concurrency import Once
from qwendesk.engines.timeouts import Pace
from qwendesk.engines.transformers.request import Piece, Request
from qwendesk.errors import ConfigError, EngineTimeout
from qwendesk.models.card import ModelCard, without_media

if TYPE_CHECKING:
    from qwendesk.engines.transformers.model_cache import Garage, Loaded
    from qwendesk.engines.transformers.model_files import Source
    from qwendesk.engines.transformers.prompt import Prompt


class TransformersEngine(Engine):
    """Runs the Hub's models, folders of safetensors and GGUF files with transformers and torch."""

    name = "transformers"

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._made: Garage | None = None
        self._chats: dict[str, TransformersChat] = {}
        self._finding = Once[TransformersChat]()
        self._opening = asyncio.Lock()

    @classmethod
    def create(cls, parts: EngineParts) -> TransformersEngine:
        """Make the engine; torch is not imported yet."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the catalogue's models that lie in the Hub's cache or, as GGUF files, in the store."""
        from qwendesk.engines.transformers.model_files import hub_models

        catalogue = self._parts.catalogue
        stored = await asyncio.to_thread(self._parts.store.installed)
        # a GGUF file is read for its text model alone
        files = [without_media(catalogue.get(model.name)) for model in stored if model.name in catalogue]
        with _extra():
            found = await asyncio.to_thread(hub_models, self._parts)
        return list({card.name: card for card in [*files, *found]}.values())

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Load a model by its catalogue name, folder, GGUF file or repository; ``NAME+ADAPTER`` adds a LoRA adapter."""
        chat = self._chats.get(name) or await self._finding.make(name, lambda: self._chat(name, progress))
        await chat.ready(progress)
        return chat

    async def forget_prompts(self) -> None:
        """Drop the caches of finished answers of all models."""
        if self._made:
            self._made.forget_prompts()

    async def aclose(self) -> None:
        """Free all loaded models, when those that are being loaded are there."""
        await self._finding.wait()
        if self._made:
            await self._made.aclose()

    async def _chat(self, name: str, progress: Progress | None) -> TransformersChat:
        from qwendesk.engines.transformers.model_files import find_source

        garage = await self._garage()
        told = _from_thread(progress) if progress else None
        source = await asyncio.to_thread(find_source, name, self._parts, told)
        self._chats[name] = TransformersChat(engine=self.name, source=source, garage=garage)
        return self._chats[name]

    async def _garage(self) -> Garage:
        async with self._opening:
            if self._made is None:
                self._made = await asyncio.to_thread(_open_garage, self._parts)
            return self._made


class TransformersChat(QwenChat):
    """A chat model on transformers; one that had to make room for others comes back by itself."""

    _source: Source = PrivateAttr()
    _garage: Garage = PrivateAttr()
    _context: int = PrivateAttr()

    def __init__(self, *, engine: str, source: Source, garage: Garage) -> None:
        super().__init__(card=source.card, engine=engine, max_tokens=garage.settings.max_output_tokens)
        self._source, self._garage = source, garage
        self._context = min(source.card.context, garage.settings.context_tokens)

    @property
    def capabilities(self) -> Capabilities:
        """What the loaded weights can do."""
        card = self.card
        return Capabilities(
            vision=self._garage.takes(card.name, "image_url", card.vision),
            audio=self._garage.takes(card.name, "input_audio", card.audio),
            tools=card.tools,
            thinking=card.thinking,
            context=self._context,
            languages=card.languages,
            loaded=self._garage.has(card.name),
            cost=card.cost,
        )

    async def ready(self, progress: Progress | None = None) -> Loaded:
        """Return the model in memory, loaded if it is not.

        Raises:
            EngineUnavailable: it cannot be loaded, or there is no memory for it.
        """
        return await self._garage.ready(self._source, progress)

    async def count_tokens(self, messages: list[BaseMessage], tools: list[dict[str, Any]] | None = None) -> int:
        """Return how many tokens the whole prompt has, the chat template's own included."""
        loaded = await self.ready()
        return await asyncio.to_thread(loaded.prompter.count, messages, tools or [])

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        loaded = await self.ready()
        pace = Pace(f"The model {self.card.name} on transformers", self._garage.settings)
        with loaded.in_use(), self._given_up(loaded, pace):
            prompt = await pace.wait(asyncio.to_thread(loaded.prompter.fitting, messages, options))
            if prompt.dropped:
                yield Delta(dropped=prompt.dropped)
            if prompt.thinks:
                yield Delta(text="<think>")
            request = _request(options, prompt, self._context)
            async with aclosing(_stream(loaded, request)) as pieces, aclosing(pace.each(pieces)) as paced:
                async for piece in paced:
                    yield _delta(piece, len(prompt.tokens))

    @contextmanager
    def _given_up(self, loaded: Loaded, pace: Pace) -> Iterator[None]:
        """Let the next message load the model anew where it hangs: its thread would keep that one waiting too."""
        try:
            yield
        except EngineTimeout:
            self._garage.give_up(self.card.name, loaded, pace.limit)
            raise


def _from_thread(progress: Progress) -> Progress:
    """Return what a thread may call to have progress told on this event loop."""
    loop = asyncio.get_running_loop()

    def tell(text: str, fraction: float | None) -> None:
        loop.call_soon_threadsafe(progress, text, fraction)

    return tell


def _request(options: Options, prompt: Prompt, context: int) -> Request:
    return Request(
        tokens=prompt.tokens,
        emit=lambda piece: None,
        sampling=options.sampling,
        seed=options.seed,
        stop=options.stop,
        max_tokens=min(options.max_tokens, context - len(prompt.tokens)),
        thinks=prompt.thinks,
        think_budget=options.think_budget,
        json_schema=options.json_schema,
        media=prompt.shown.media if prompt.shown else {},
        keys=prompt.keys,
    )


async def _stream(loaded: Loaded, request: Request) -> AsyncGenerator[Piece, None]:
    """Yield the pieces of an answer; whoever stops listening stops it."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[Piece]()

    def emit(piece: Piece) -> None:
        with suppress(RuntimeError):  # the event loop has been closed: nobody listens
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


def _delta(piece: Piece, tokens_in: int) -> Delta:
    usage = Usage(tokens_in, piece.tokens_out, piece.cached) if piece.finish else None
    return Delta(text=piece.text, usage=usage, finish=piece.finish)


def _open_garage(parts: EngineParts) -> Garage:
    """Import torch, in a thread: it takes seconds."""
    from qwendesk.engines.cpu_threads import be_patient

    be_patient()
    with _extra():
        from qwendesk.engines.transformers.model_cache import Garage
    return Garage(parts.settings)


@contextmanager
def _extra() -> Iterator[None]:
    """Say what to install where the extra's packages are missing."""
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"The engine 'transformers' lacks {error.name!r}: pip install 'qwendesk[transformers]'"
        ) from error
