"""The loaded models under a memory limit: the one not used for longest makes room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any

from qwendesk.engines.base import Progress
from qwendesk.engines.concurrency import Once
from qwendesk.engines.cpu_threads import free_threads
from qwendesk.engines.timeouts import Pace
from qwendesk.engines.transformers.device import Place
from qwendesk.engines.transformers.loading import load_model, load_sense, load_vocabulary, make_runner, parameters
from qwendesk.engines.transformers.model_files import Source
from qwendesk.engines.transformers.prefix_cache import PrefixStore
from qwendesk.engines.transformers.prompt import Prompter
from qwendesk.engines.transformers.request import Piece, Request
from qwendesk.engines.transformers.runner import PackedRunner
from qwendesk.engines.transformers.scheduler import Scheduler
from qwendesk.engines.transformers.vocabulary import Vocabulary
from qwendesk.errors import EngineTimeout, EngineUnavailable
from qwendesk.settings import Settings

MIB = 1 << 20
KEPT_MIB = 512
"""Memory for the caches of conversations that may go on."""
KEPT_CHATS = 16
"""How many conversations they are at most."""
_NEARLY = 0.9
"""The part of a time limit that one pass has to take before the model counts as hanging: it began a little later."""


class Loaded:
    """A model in memory."""

    def __init__(self, source: Source, model: Any, settings: Settings, threads: int) -> None:
        self.bytes = int(model.get_memory_footprint())
        context = min(source.card.context, settings.context_tokens)
        runner = make_runner(model)
        sense = load_sense(source, model, context) if isinstance(runner, PackedRunner) else None
        self.takes = sense.kind if sense else ""
        """Type of the parts of a message that it takes beside text."""
        self.vocabulary: Vocabulary = load_vocabulary(source, model, sense.template if sense else None)
        self.prompter = Prompter(self.vocabulary, source.card, context, sense)
        self.users = 0
        """Answers that are being made."""
        kept: PrefixStore[Any] = PrefixStore(KEPT_MIB * MIB, KEPT_CHATS)
        self.scheduler: Scheduler[Any] = Scheduler(runner, self.vocabulary, kept, threads)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the model in memory meanwhile."""
        self.users += 1
        try:
            yield
        finally:
            self.users -= 1


@dataclass(frozen=True, slots=True)
class _Abandoned:
    """A model that hangs: it holds its memory until its thread comes back."""

    name: str
    bytes: int
    thread: Thread


class Garage:
    """Holds the loaded models; used from the event loop only."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        """The program's settings."""
        self._loaded: OrderedDict[str, Loaded] = OrderedDict()
        self._abandoned: list[_Abandoned] = []
        self._lock = asyncio.Lock()
        self._loading = Once[None]()

    def has(self, name: str) -> bool:
        """Tell whether the model is in memory."""
        return name in self._loaded

    def takes(self, name: str, kind: str, otherwise: bool) -> bool:
        """Tell whether a model takes a type of parts; ``otherwise`` is the answer for one that is not in memory."""
        return self._loaded[name].takes == kind if name in self._loaded else otherwise

    async def ready(self, source: Source, progress: Progress | None = None) -> Loaded:
        """Return the model, loaded if it is not.

        Raises:
            EngineUnavailable: it cannot be loaded, or there is no memory for it.
        """
        name = source.card.name
        # another one may have taken its room again before who asked for it came to hear of it
        while name not in self._loaded:
            await self._loading.make(name, lambda: self._load(source, progress))
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def give_up(self, name: str, loaded: Loaded, limit: float) -> None:
        """Forget a model that hangs; its memory comes free if it ever goes on.

        Args:
            name: the model's name.
            loaded: the model.
            limit: the seconds in which it brought nothing.
        """
        if self._loaded.get(name) is loaded and loaded.scheduler.hangs(limit * _NEARLY):
            del self._loaded[name]
            self._abandon(name, loaded)

    def forget_prompts(self) -> None:
        """Drop the caches of finished answers of all models."""
        for loaded in self._loaded.values():
            loaded.scheduler.forget_prompts()

    async def unload(self, name: str) -> None:
        """Free a model."""
        if loaded := self._loaded.pop(name, None):
            await asyncio.to_thread(loaded.scheduler.close)
            self._abandon(name, loaded)  # where its thread has not ended, it hangs

    async def aclose(self) -> None:
        """Free all models, when those that are being loaded are there."""
        await self._loading.wait()
        for name in list(self._loaded):
            await self.unload(name)

    async def _load(self, source: Source, progress: Progress | None) -> None:
        name = source.card.name
        # one after the other: each has to know how much room the others leave
        async with self._lock:
            if progress:
                progress(f"Loading {name}", None)
            place = await asyncio.to_thread(Place.chosen, self.settings)
            weights = await asyncio.to_thread(parameters, source)
            await self._make_room(name, int(weights * place.bytes_per_parameter), place)
            threads = self.settings.threads or await free_threads()
            loaded = await asyncio.to_thread(_loaded, source, place, self.settings, threads)
            try:
                await Pace(f"The model {name} on transformers", self.settings).wait(_warm_up(loaded))
            except EngineTimeout:
                self._abandon(name, loaded)
                raise
            except BaseException:
                await asyncio.to_thread(loaded.scheduler.close)
                raise
            self._loaded[name] = loaded

    async def _make_room(self, name: str, needed: int, place: Place) -> None:
        while needed > (room := self._room(place)):
            if any(one.name == name for one in self._hanging()):
                raise EngineUnavailable(
                    f"{name!r} hangs and still holds its memory, and there is none for it a second time: choose "
                    "another model, or restart the program."
                )
            idle = next((other for other, loaded in self._loaded.items() if not loaded.users), None)
            if idle is None:
                raise EngineUnavailable(
                    f"{name!r} needs {needed // MIB} MB of memory and there are {max(0, room) // MIB}: choose a "
                    "smaller model or a GGUF file on llamacpp, or raise QWENDESK_MODELS_MEMORY_MB."
                )
            await self.unload(idle)

    def _room(self, place: Place) -> int:
        limit = self.settings.models_memory_mb
        if limit is None:
            return place.free_bytes()
        hanging = sum(one.bytes for one in self._hanging())
        return limit * MIB - sum(loaded.bytes for loaded in self._loaded.values()) - hanging

    def _abandon(self, name: str, loaded: Loaded) -> None:
        loaded.scheduler.abandon()
        self._abandoned.append(_Abandoned(name, loaded.bytes, loaded.scheduler.thread))

    def _hanging(self) -> list[_Abandoned]:
        self._abandoned = [one for one in self._abandoned if one.thread.is_alive()]
        return self._abandoned


def _loaded(source: Source, place: Place, settings: Settings, threads: int) -> Loaded:
    return Loaded(source, load_model(source, place), settings, threads)


async def _warm_up(loaded: Loaded) -> None:
    """Make one token, so that the first person does not wait for what a library does only once.

    Raises:
        EngineError: the model cannot make one.
    """
    loop, made = asyncio.get_running_loop(), asyncio.Queue[Piece]()

    def emit(piece: Piece) -> None:
        loop.call_soon_threadsafe(made.put_nowait, piece)

    tokens = loaded.vocabulary.encode("Hi")
    loaded.scheduler.submit(Request(tokens=tokens, emit=emit, max_tokens=1))
    if error := (await made.get()).error:
        raise error
