"""Which model answers for a role, and one place that holds the loaded ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace

from qwendesk import plugins
from qwendesk.engines.base import Engine, EngineParts, Progress, QwenChat
from qwendesk.engines.concurrency import Lane
from qwendesk.engines.fallback import FALLS_OVER, Answering, Cooldowns, Reach, nobody, standing_in
from qwendesk.engines.kept_prompts import KeptPrompts
from qwendesk.engines.openai.engine import OpenAIEngine
from qwendesk.engines.selected_model import Choice, able_to, best
from qwendesk.engines.servers import KINDS, is_server, server_of
from qwendesk.errors import ConfigError, EngineUnavailable, QwendeskError
from qwendesk.messages import Role
from qwendesk.models.card import ModelCard
from qwendesk.models.gguf import header_fault
from qwendesk.models.sources.base import PullProgress
from qwendesk.settings import STARTER_MODEL, Settings

_LISTING_SECONDS = 10.0
"""How long an engine's list of models is trusted."""


def _silent(text: str, fraction: float | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The models that can play a role."""

    choice: Choice | None
    """The first choice; None: no model can play the role."""
    cards: tuple[ModelCard, ...] = ()
    """All models of its engine, where another one may be taken."""
    loaded: frozenset[str] = frozenset()
    """Names of those in memory, where changing the model costs time."""


class ModelPool:
    """Chooses models and keeps them loaded; engines are made when first needed."""

    def __init__(self, parts: EngineParts, engines: Mapping[str, Engine] | None = None) -> None:
        self._parts = parts
        self._engines = dict(engines or {})
        self._listed: dict[str, tuple[float, list[ModelCard]]] = {}
        self._pulling = asyncio.Lock()
        self._ready: dict[tuple[str, str], QwenChat] = {}
        self._lanes: dict[str, Lane] = {}
        self.kept_prompts = KeptPrompts(self._engines)
        fallback = parts.settings.fallback
        self._cooldowns = Cooldowns(fallback.cooldown, fallback.cooldown_max)

    @property
    def settings(self) -> Settings:
        """The program's settings."""
        return self._parts.settings

    def engine(self, name: str) -> Engine:
        """Return the engine of that name.

        Raises:
            ConfigError: there is none, or its package is not installed.
        """
        if name not in self._engines:
            self._engines[name] = self._make(name)
        return self._engines[name]

    def _make(self, name: str) -> Engine:
        plugged = plugins.names("engines")
        if name not in plugged and is_server(name, self.settings):
            return OpenAIEngine(self._parts, server_of(name, self.settings))
        if name not in plugged:
            raise ConfigError(f"No engine is called {name!r}; there are: {self._names()}.")
        plugin = plugins.load("engines", name)
        with plugins.guarded("engines", name):
            engine: Engine = plugin.create(self._parts)
        return engine

    def _names(self) -> str:
        """Return the names of all engines."""
        return ", ".join(sorted({*plugins.names("engines"), *KINDS, *self.settings.servers, *self._engines}))

    async def models(self, engine: str | None = None) -> list[ModelCard]:
        """Return what an engine (the default one) can run now."""
        name = engine or self.settings.engine
        then, cards = self._listed.get(name, (0.0, []))
        if not cards or time.monotonic() - then > _LISTING_SECONDS:
            cards = await self.engine(name).models()
            self._listed[name] = (time.monotonic(), cards)
        return cards

    async def choose(
        self, role: Role, wish: str | None = None, progress: Progress = _silent, *, fetch: bool = True
    ) -> Choice | None:
        """Return the model for a role: the wished one, the one set for the role, or the best there is.

        An empty store is given the starter model first, unless ``fetch`` is off. Where it does not answer or failed
        lately, a model of the fallback chain stands in, but never for a wished one. None where no model can do it at
        all: a picture, and no model that sees.

        Raises:
            ConfigError: the wished model is unknown.
            EngineUnavailable: the wished model is not there, or the engine does not answer.
        """
        if wish:
            choice = await self._named(wish, anyway=True)
            return replace(choice, pinned=True) if able_to(role, choice.card) else None
        try:
            found = await self._configured(role, progress, fetch) or await self._best(role, progress, fetch)
        except FALLS_OVER as error:
            tried = [str(error)]
            if standby := await self._standby(role, tried):
                progress(f"{self.settings.engine} cannot answer; asking {standby.name}", None)
                return standby
            if len(tried) > 1:
                raise nobody(tried) from error
            raise
        if found and self._cooldowns.rests(found.name):
            return await self._standby(role, [f"{found.name} failed lately"], but=found) or found
        return found

    async def candidates(self, role: Role, progress: Progress = _silent) -> Candidates:
        """Return the model for a role as ``choose`` does, and the models that may be taken in its place.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        choice = await self.choose(role, None, progress)
        # neither what the settings name nor what the chain gives is weighed against others
        if choice is None or self._set_for(role) or choice.engine != self.settings.engine:
            return Candidates(choice)
        engine = self.engine(choice.engine)
        loaded = frozenset[str]() if engine.switches_free else self.loaded(choice.engine)
        return Candidates(choice, tuple(await self.models(choice.engine)), loaded)

    async def to_fetch(self) -> str | None:
        """Return the model that has to be fetched before anybody is answered; nobody is asked over a network.

        Raises:
            ConfigError: the settings name an engine or a model that there is not.
            EngineUnavailable: they name a file that is no model.
        """
        named = self._set_for("general")
        engine, name = self._split(named or STARTER_MODEL)
        if not self.engine(engine).uses_store or await self._is_there(await self._named(named or STARTER_MODEL)):
            return None
        return name if named or not await self.models(engine) else None

    def _set_for(self, role: Role) -> str | None:
        """Return the model that the settings name for a role."""
        return self.settings.roles.get(role) or self.settings.model

    async def _configured(self, role: Role, progress: Progress, fetch: bool) -> Choice | None:
        """Return the model that the settings name for a role, if it can be used for it."""
        named = self._set_for(role)
        choice = await self._named(named) if named else None
        if choice is None or not able_to(role, choice.card):
            return None
        if await self._is_there(choice):
            return choice
        other = await self._best(role, progress, fetch)
        return replace(other, fallback=f"{named} is not here; {other.card.name} stands in") if other else choice

    async def _best(self, role: Role, progress: Progress, fetch: bool) -> Choice | None:
        name = self.settings.engine
        engine = self.engine(name)
        if fetch and engine.uses_store and role not in ("vision", "audio") and not await self.models():
            await self._fetch_starter(engine, progress)
        cards = await self._cards(name)
        if not cards and not engine.uses_store:
            raise EngineUnavailable(engine.explain_empty())
        return best(role, cards, name)

    async def _fetch_starter(self, engine: Engine, progress: Progress) -> None:
        async with self._pulling:
            if await engine.models():
                return
            card = self._parts.catalogue.get(STARTER_MODEL)
            progress(f"First start: fetching {card.name}, once", None)
            await self._parts.store.pull(card, lambda step: progress(*_told(step)))
        self._listed.clear()

    async def _is_there(self, choice: Choice) -> bool:
        if file := choice.card.file:
            if fault := await asyncio.to_thread(header_fault, file):
                raise EngineUnavailable(f"{str(file)!r} {fault}. Name another file, or a model of the catalogue.")
            return True
        if not self.engine(choice.engine).uses_store:
            return True
        return choice.card.name in {card.name for card in await self.models(choice.engine)}

    async def load(self, choice: Choice, progress: Progress | None = None) -> QwenChat:
        """Return the chosen model, ready to answer."""
        model = await self.engine(choice.engine).load(choice.card.name, progress)
        self._ready[choice.engine, choice.card.name] = model
        return model

    def loaded(self, engine: str) -> frozenset[str]:
        """Return the names of an engine's models that have answered here and are still in memory."""
        return frozenset(
            name for (of, name), model in self._ready.items() if of == engine and model.capabilities.loaded
        )

    async def find(self, named: str) -> Choice:
        """Return the model of that name, which is there.

        Raises:
            QwendeskError: it is not there, or its engine does not answer.
        """
        choice = await self._named(named, anyway=True)
        if not await self._is_there(choice):
            name = choice.card.name
            raise EngineUnavailable(f"{name} has not been fetched: 'qwendesk models pull {name}'.")
        if self.engine(choice.engine).switches_free:
            await self.load(choice)
        return choice

    def answering(self, choice: Choice, progress: Progress = _silent) -> Answering:
        """Return an answer to be streamed: in the model's line, and by who stands in where the model cannot."""
        return Answering(Reach(self.load, self._place, self._others, self._cooldowns), choice, progress)

    def _place(self, choice: Choice, tell: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        settings, name = self.settings, choice.name
        if name not in self._lanes:
            set_up = settings.max_concurrent_requests
            places = set_up.get(name) or set_up.get(choice.engine) or self.engine(choice.engine).parallel
            self._lanes[name] = Lane(choice.card.name, places, settings.queue_timeout)
        return self._lanes[name].place(tell)

    async def _others(self, asked: Choice, senses: frozenset[str]) -> AsyncIterator[Choice]:
        """Yield the models of the chain that may stand in for one."""
        for named in self.settings.fallback.chain:
            try:
                choice = await self._named(named)
            except QwendeskError:
                # asking it says why it cannot answer
                engine, name = self._split(named)
                choice = Choice(engine, ModelCard(name=name))
            if choice.name != asked.name and all(getattr(choice.card, sense) for sense in senses):
                yield choice

    async def _standby(self, role: Role, tried: list[str], but: Choice | None = None) -> Choice | None:
        """Return the first model of the chain that is there; why each one before it is not, is added to ``tried``."""
        for named in self.settings.fallback.chain:
            try:
                choice = await self._named(named)
                if but and choice.name == but.name:
                    continue
                if why := await self._unfit(role, choice):
                    tried.append(why)
                    continue
            except QwendeskError as error:
                tried.append(f"{named} could not answer: {error}")
                continue
            return standing_in(choice, tried)
        return None

    async def _unfit(self, role: Role, choice: Choice) -> str | None:
        """Say why a model of the chain cannot answer now; None: it can."""
        if not able_to(role, choice.card):
            return f"{choice.name} has no sense for it ({role})"
        if self._cooldowns.rests(choice.name):
            return self._cooldowns.told(choice.name)
        return None if await self._is_there(choice) else f"{choice.name} has not been fetched"

    async def _cards(self, name: str) -> list[ModelCard]:
        """Return an engine's models; with a chain to turn to, one that failed lately is not asked for a while."""
        if self.settings.fallback.chain and self._cooldowns.rests(name):
            raise EngineUnavailable(f"The engine {self._cooldowns.told(name)}")
        try:
            cards = await self.models(name)
        except FALLS_OVER as error:
            self._cooldowns.failed(name, str(error))
            raise
        self._cooldowns.answered(name)
        return cards

    async def aclose(self) -> None:
        """Free all models and connections."""
        await self.kept_prompts.aclose()
        for engine in self._engines.values():
            await engine.aclose()

    async def _named(self, named: str, *, anyway: bool = False) -> Choice:
        """Return the model of that name; ``anyway`` asks an engine that failed lately too."""
        engine, name = self._split(named)
        port = self.engine(engine)
        if port.uses_store:
            return Choice(engine, self._parts.store.served(self._row(name)))
        cards = {card.name: card for card in await (self.models(engine) if anyway else self._cards(engine))}
        card = cards.get(name) or cards.get(f"{name}:latest") or self._parts.catalogue.among(cards.values(), name)
        card = card or port.fetchable(name)
        if card is None and port.lists_all:
            raise EngineUnavailable(port.explain_missing(name, cards))
        return Choice(engine, card or ModelCard(name=name))

    def _row(self, name: str) -> ModelCard:
        """Return the catalogue's model; a mistyped engine in front of a name is told as one."""
        try:
            return self._parts.catalogue.get(name)
        except ConfigError as error:
            engine, colon, _ = name.partition(":")
            if not colon or not engine.isalnum():
                raise
            raise ConfigError(f"{error} Nor is an engine called {engine!r}; there are: {self._names()}.") from None

    def _split(self, named: str) -> tuple[str, str]:
        """Split ``engine:name``; a name's own colon (``qwen3:8b``) is not taken for an engine's."""
        engine, colon, name = named.partition(":")
        if colon and (engine in {*plugins.names("engines"), *self._engines} or is_server(engine, self.settings)):
            if not name:
                raise ConfigError(f"{named!r} names an engine but no model: write {engine}:NAME.")
            return engine, name
        return self.settings.engine, named


def _told(step: PullProgress) -> tuple[str, float | None]:
    source = f" from {step.source}" if step.source else ""
    text = f"Fetching {step.model}{source}" + (f": {step.note}" if step.note else "")
    if not step.total or step.note:
        return text, None
    return f"{text}: {step.done / 1e6:,.0f} of {step.total / 1e6:,.0f} MB", step.done / step.total
