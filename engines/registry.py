"""The engines of one program: each is made on first use and lists its models through a short-lived cache."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping

from qwendesk import plugins
from qwendesk.engines.base import Engine, EngineParts
from qwendesk.engines.servers import SERVER_ENGINE, SERVER_KINDS, is_server
from qwendesk.errors import ConfigError, no_such
from qwendesk.models.card import ModelCard
from qwendesk.settings import Settings
from qwendesk.text_caches import Forgotten

_LISTING_SECONDS = 10.0
"""Time for which an engine's list of models is reused."""
log = logging.getLogger(__name__)


def is_engine(name: str, settings: Settings) -> bool:
    """Return whether an engine is installed or configured under a name."""
    return name in plugins.names("engines") or is_server(name, settings)


class EngineRegistry:
    """Makes engines by name.

    Args:
        parts: dependencies of the engines.
        engines: engines that exist already, by name.
    """

    def __init__(self, parts: EngineParts, engines: Mapping[str, Engine] | None = None) -> None:
        self._parts = parts
        self._engines = dict(engines or {})
        self._listed: dict[str, tuple[float, list[ModelCard]]] = {}
        self._forgetting: set[asyncio.Task[None]] = set()

    def __iter__(self) -> Iterator[Engine]:
        return iter(list(self._engines.values()))

    def get(self, name: str) -> Engine:
        """Return the engine of that name.

        Raises:
            ConfigError: no engine has this name, or its package is not installed.
        """
        if name not in self._engines:
            self._engines[name] = self._make(name)
        return self._engines[name]

    def names(self) -> list[str]:
        """Return the names of all engines."""
        servers = {*SERVER_KINDS, *self._parts.settings.servers}
        return sorted({*plugins.names("engines"), *servers, *self._engines})

    def split(self, named: str) -> tuple[str, str]:
        """Split ``engine:name``; the colon of a model's own name (``qwen3:8b``) is not a separator.

        Raises:
            ConfigError: the name of the model is empty.
        """
        engine, colon, name = named.partition(":")
        known = engine in self._engines or is_engine(engine, self._parts.settings)
        if not (colon and known):
            return self._parts.settings.engine, named
        if not name:
            raise ConfigError(f"{named!r} names an engine but no model: write {engine}:NAME.")
        return engine, name

    def catalogued(self, name: str) -> ModelCard:
        """Return the catalogue's model of that name.

        Raises:
            ConfigError: there is none; the text also explains a mistyped engine before the name.
        """
        try:
            return self._parts.catalogue.get(name)
        except ConfigError as error:
            engine, colon, _ = name.partition(":")
            if not colon or not engine.isalnum():
                raise
            raise ConfigError(f"{error} {no_such('Nor is an engine called', engine, self.names())}") from None

    async def models(self, name: str) -> list[ModelCard]:
        """Return the models that an engine can run now.

        Raises:
            EngineUnavailable: the engine's server does not answer.
        """
        listed_at, cards = self._listed.get(name, (0.0, []))
        if not cards or time.monotonic() - listed_at > _LISTING_SECONDS:
            cards = await self.get(name).models()
            self._listed[name] = (time.monotonic(), cards)
        return cards

    def clear_listings(self) -> None:
        """Ask engines again for their models on the next use."""
        self._listed.clear()

    async def forget_prompts(self, _: Forgotten) -> None:
        """Start to drop the prompts that engines keep; an engine that is answering drops them afterwards."""
        for engine in self:
            task = asyncio.create_task(engine.forget_prompts())
            self._forgetting.add(task)
            task.add_done_callback(self._prompts_forgotten)

    async def aclose(self) -> None:
        """Free all models and connections."""
        tasks = list(self._forgetting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for engine in self:
            await engine.aclose()

    def _make(self, name: str) -> Engine:
        installed = plugins.names("engines")
        # an installed engine takes precedence over a server of the same name
        of_server = name not in installed and is_server(name, self._parts.settings)
        entry_point = SERVER_ENGINE if of_server else name
        if entry_point not in installed:
            raise ConfigError(no_such("No engine is called", name, self.names()))
        plugin: type[Engine] = plugins.load("engines", entry_point)
        with plugins.guarded("engines", entry_point):
            return plugin.for_server(name, self._parts) if of_server else plugin.create(self._parts)

    def _prompts_forgotten(self, task: asyncio.Task[None]) -> None:
        self._forgetting.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.warning("An engine did not drop the prompts it keeps: %s.", type(error).__name__)
