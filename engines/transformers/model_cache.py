"""The loaded models within a memory limit; the least recently used model is unloaded."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

from qwendesk.engines.base import Progress
from qwendesk.engines.concurrency import SingleFlight
from qwendesk.engines.cpu_threads import available_threads
from qwendesk.engines.timeouts import StreamTimeouts
from qwendesk.engines.transformers.device import Device
from qwendesk.engines.transformers.loading import (
    count_parameters,
    load_modality,
    load_model,
    load_vocabulary,
    make_runner,
)
from qwendesk.engines.transformers.model_files import ModelFiles
from qwendesk.engines.transformers.prefix_cache import PrefixCache
from qwendesk.engines.transformers.prompt import PromptRenderer
from qwendesk.engines.transformers.request import GenerationRequest, TokenPiece
from qwendesk.engines.transformers.runner import PackedRunner
from qwendesk.engines.transformers.scheduler import Scheduler
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineTimeout, EngineUnavailable
from qwendesk.settings import Settings

MIB = 1 << 20
PREFIX_CACHE_MIB = 512
"""Memory for the prefix caches of a model."""
MAX_CACHED_PREFIXES = 16
"""Maximum number of prefix caches of a model."""
HANGING_FRACTION = 0.9
"""Fraction of a time limit after which a running forward pass counts as hanging; it began after the limit did."""


class LoadedModel:
    """A model in memory."""

    def __init__(self, files: ModelFiles, model: Any, settings: Settings, threads: int) -> None:
        self.bytes = int(model.get_memory_footprint())
        context = min(files.card.context, settings.context_tokens)
        runner = make_runner(model)
        modality = load_modality(files, model, context) if isinstance(runner, PackedRunner) else None
        self.media_type = modality.part_type if modality else ""
        """Type of message parts that the model takes besides text."""
        self.vocabulary: Vocabulary = load_vocabulary(files, model, modality.template if modality else None)
        self.renderer = PromptRenderer(self.vocabulary, files.card, context, modality)
        self.users = 0
        """Number of answers in progress."""
        prefixes: PrefixCache[Any] = PrefixCache(PREFIX_CACHE_MIB * MIB, MAX_CACHED_PREFIXES)
        self.scheduler: Scheduler[Any] = Scheduler(runner, self.vocabulary, prefixes, threads)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the model in memory during an answer."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1


@dataclass(frozen=True, slots=True)
class _Abandoned:
    """A model that hangs and keeps its memory until its thread continues."""

    name: str
    bytes: int
    thread: Thread


class ModelCache:
    """Holds the loaded models; used on the event loop only."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """The program's settings."""
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()
        self._abandoned: list[_Abandoned] = []
        self._lock = asyncio.Lock()
        self._loading = SingleFlight[None]()

    def has(self, name: str) -> bool:
        """Return whether the model is in memory."""
        return name in self._loaded

    def accepts(self, name: str, media_type: str, default: bool) -> bool:
        """Return whether a model takes a type of message parts; ``default`` is for a model that is not in memory."""
        return self._loaded[name].media_type == media_type if name in self._loaded else default

    async def ready(self, files: ModelFiles, progress: Progress | None = None) -> LoadedModel:
        """Return the model, loading it if needed.

        Raises:
            EngineUnavailable: the model cannot be loaded, or memory is short.
        """
        name = files.card.name
        # it may have been unloaded for another model before this task continues
        while name not in self._loaded:
            await self._loading.run(name, lambda: self._load(files, progress))
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def drop_hanging(self, name: str, loaded: LoadedModel, limit: float) -> None:
        """Remove a model if it hangs; its memory is freed when its thread continues.

        Args:
            name: the model's name.
            loaded: the model.
            limit: the time limit in seconds that it exceeded.
        """
        if self._loaded.get(name) is loaded and loaded.scheduler.hangs(limit * HANGING_FRACTION):
            del self._loaded[name]
            self._abandon(name, loaded)

    def forget_prompts(self) -> None:
        """Drop the prefix caches of all models."""
        for loaded in self._loaded.values():
            loaded.scheduler.forget_prompts()

    async def unload(self, name: str) -> None:
        """Free a model."""
        if loaded := self._loaded.pop(name, None):
            await asyncio.to_thread(loaded.scheduler.close)
            self._abandon(name, loaded)  # counts its memory if its thread has not ended

    async def aclose(self) -> None:
        """Free all models, after waiting for those that are being loaded."""
        await self._loading.wait()
        for name in list(self._loaded):
            await self.unload(name)

    async def _load(self, files: ModelFiles, progress: Progress | None) -> None:
        name = files.card.name
        # one at a time, because each needs to know the free memory
        async with self._lock:
            if progress:
                progress(f"Loading {name}", None)
            device = await asyncio.to_thread(Device.from_settings, self.settings)
            weights = await asyncio.to_thread(count_parameters, files)
            await self._free_memory(name, int(weights * device.bytes_per_parameter), device)
            threads = self.settings.threads or await available_threads()
            loaded = await asyncio.to_thread(_load, files, device, self.settings, threads)
            try:
                await StreamTimeouts(f"The model {name} on transformers", self.settings).wait(_warm_up(loaded))
            except EngineTimeout:
                self._abandon(name, loaded)
                raise
            except BaseException:
                await asyncio.to_thread(loaded.scheduler.close)
                raise
            self._loaded[name] = loaded

    async def _free_memory(self, name: str, needed: int, device: Device) -> None:
        while needed > (free := self._available(device)):
            if any(one.name == name for one in self._hanging()):
                raise EngineUnavailable(
                    f"{name!r} hangs and keeps its memory, and there is too little for a second copy: choose "
                    "another model, or restart the program."
                )
            idle = next((other for other, loaded in self._loaded.items() if not loaded.users), None)
            if idle is None:
                raise EngineUnavailable(
                    f"{name!r} needs {needed // MIB} MB of memory and there are {max(0, free) // MIB}: choose a "
                    "smaller model or a GGUF file on llamacpp, or raise QWENDESK_MODELS_MEMORY_MB."
                )
            await self.unload(idle)

    def _available(self, device: Device) -> int:
        limit = self.settings.models_memory_mb
        if limit is None:
            return device.free_bytes()
        hanging = sum(one.bytes for one in self._hanging())
        return limit * MIB - sum(loaded.bytes for loaded in self._loaded.values()) - hanging

    def _abandon(self, name: str, loaded: LoadedModel) -> None:
        loaded.scheduler.abandon()
        self._abandoned.append(_Abandoned(name, loaded.bytes, loaded.scheduler.thread))

    def _hanging(self) -> list[_Abandoned]:
        self._abandoned = [one for one in self._abandoned if one.thread.is_alive()]
        return self._abandoned


def _load(files: ModelFiles, device: Device, settings: Settings, threads: int) -> LoadedModel:
    return LoadedModel(files, load_model(files, device), settings, threads)


async def _warm_up(loaded: LoadedModel) -> None:
    """Generate one token, so that the first answer does not wait for one-time initialisations.

    Raises:
        EngineError: the model cannot generate a token.
    """
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue[TokenPiece]()

    def emit(piece: TokenPiece) -> None:
        loop.call_soon_threadsafe(pieces.put_nowait, piece)

    tokens = loaded.vocabulary.encode("Hi")
    loaded.scheduler.submit(GenerationRequest(tokens=tokens, emit=emit, max_tokens=1))
    if error := (await pieces.get()).error:
        raise error
