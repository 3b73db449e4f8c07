"""Select the model for a role, keep selected models loaded, and limit the requests to each."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from qwendesk.engines.base import Engine, EngineParts, Progress
from qwendesk.engines.chat import QwenChat
from qwendesk.engines.concurrency import RequestQueue
from qwendesk.engines.fallback import (
    FALLBACK_ERRORS,
    Cooldowns,
    FallbackChat,
    ModelAccess,
    as_fallback,
    no_model_answered,
)
from qwendesk.engines.registry import EngineRegistry
from qwendesk.errors import EngineUnavailable, QwendeskError
from qwendesk.messages import Role
from qwendesk.models.card import ModelCandidates, ModelCard, SelectedModel, best_for_role
from qwendesk.models.gguf import header_fault
from qwendesk.settings import STARTER_MODEL, Settings
from qwendesk.text_caches import Forgotten


def _no_progress(text: str, fraction: float | None) -> None:
    """Ignore progress."""


class ModelPool:
    """Selects models and keeps them loaded.

    Args:
        parts: dependencies of the engines.
        engines: engines that exist already, by name.
        cooldowns: pauses of models that failed; None: from the settings.
    """

    def __init__(
        self, parts: EngineParts, engines: Mapping[str, Engine] | None = None, cooldowns: Cooldowns | None = None
    ) -> None:
        self._parts = parts
        self._engines = EngineRegistry(parts, engines)
        self._pulling = asyncio.Lock()
        self._ready: dict[tuple[str, str], QwenChat] = {}
        self._queues: dict[str, RequestQueue] = {}
        fallback = parts.settings.fallback
        self._cooldowns = cooldowns or Cooldowns(fallback.cooldown, fallback.cooldown_max)

    @property
    def settings(self) -> Settings:
        """The program's settings."""
        return self._parts.settings

    def engine(self, name: str) -> Engine:
        """Return the engine of that name.

        Raises:
            ConfigError: no engine has this name, or its package is not installed.
        """
        return self._engines.get(name)

    async def models(self, engine: str | None = None) -> list[ModelCard]:
        """Return the models that an engine (None: the default one) can run now.

        Raises:
            EngineUnavailable: the engine's server does not answer.
        """
        return await self._engines.models(engine or self.settings.engine)

    async def choose(
        self, role: Role, requested: str | None = None, progress: Progress = _no_progress, *, fetch: bool = True
    ) -> SelectedModel | None:
        """Return the model for a role: the requested one, the one set for the role, or the best available.

        Pulls the starter model into an empty store, unless ``fetch`` is off. A model of the fallback chain replaces
        one that does not answer or failed lately; a requested model is never replaced. Returns None if no model
        takes the input of the role, such as images for vision.

        Raises:
            ConfigError: the requested model is unknown.
            EngineUnavailable: the requested model is not available, or the engine does not answer.
        """
        if requested:
            choice = await self._named(requested, ignore_cooldown=True)
            return replace(choice, pinned=True) if choice.card.takes_input_of(role) else None
        try:
            found = await self._configured(role, progress, fetch) or await self._best(role, progress, fetch)
        except FALLBACK_ERRORS as error:
            reasons = [str(error)]
            if standby := await self._standby(role, reasons):
                progress(f"{self.settings.engine} cannot answer; asking {standby.name}", None)
                return standby
            if len(reasons) > 1:
                raise no_model_answered(reasons) from error
            raise
        if found and self._cooldowns.remaining(found.name):
            return await self._standby(role, [f"{found.name} failed lately"], excluded=found) or found
        return found

    async def candidates(self, role: Role, progress: Progress = _no_progress) -> ModelCandidates:
        """Return the model for a role as ``choose`` does, and the models that may replace it.

        Raises:
            EngineUnavailable: the engine does not answer.
        """
        choice = await self.choose(role, None, progress)
        # a model named by the settings or taken from the chain is not compared with others
        if choice is None or self._set_for(role) or choice.engine != self.settings.engine:
            return ModelCandidates(choice)
        engine = self.engine(choice.engine)
        loaded = frozenset[str]() if engine.is_switching_free else self.loaded(choice.engine)
        return ModelCandidates(choice, tuple(await self.models(choice.engine)), loaded)

    async def model_to_fetch(self) -> str | None:
        """Return the model that has to be pulled before the first answer; sends no request over a network.

        Raises:
            ConfigError: the settings name an unknown engine or model.
            EngineUnavailable: the settings name a file that is not a model.
        """
        named = self._set_for("general")
        engine, name = self._engines.split(named or STARTER_MODEL)
        if not self.engine(engine).uses_store or await self._is_available(await self._named(named or STARTER_MODEL)):
            return None
        return name if named or not await self.models(engine) else None

    async def load(self, choice: SelectedModel, progress: Progress | None = None) -> QwenChat:
        """Return the selected model, ready to answer.

        Raises:
            EngineUnavailable: the model is not available; the text says how to get it.
        """
        model = await self.engine(choice.engine).load(choice.card.name, progress)
        self._ready[choice.engine, choice.card.name] = model
        return model

    async def fetch(self, name: str, progress: Progress = _no_progress) -> None:
        """Pull a model of the catalogue into the store, from where it answers from the next message on.

        Raises:
            ModelStoreError: every source failed, with the reasons; or the disk is full.
            ConfigError: there is no such model, or no source has it.
        """
        card = self._parts.catalogue.get(name)
        await self._parts.store.pull(card, lambda step: progress(*step.described()))
        self._engines.clear_listings()

    def loaded(self, engine: str) -> frozenset[str]:
        """Return the names of an engine's models that were loaded by this pool and are still in memory."""
        return frozenset(
            name for (of, name), model in self._ready.items() if of == engine and model.capabilities.loaded
        )

    async def find(self, named: str) -> SelectedModel:
        """Return the available model of that name.

        Raises:
            QwendeskError: the model is not available, or its engine does not answer.
        """
        choice = await self._named(named, ignore_cooldown=True)
        if not await self._is_available(choice):
            name = choice.card.name
            raise EngineUnavailable(f"{name} has not been fetched: 'qwendesk models pull {name}'.")
        if self.engine(choice.engine).is_switching_free:
            await self.load(choice)
        return choice

    def fallback_chat(self, choice: SelectedModel, progress: Progress = _no_progress) -> FallbackChat:
        """Return a chat that queues for the selected model and asks the fallback chain if it cannot answer."""
        return FallbackChat(ModelAccess(self.load, self._slot, self._fallbacks, self._cooldowns), choice, progress)

    async def forget_prompts(self, forgotten: Forgotten) -> None:
        """Start to drop the prompts that engines keep; an engine that is answering drops them afterwards."""
        await self._engines.forget_prompts(forgotten)

    async def aclose(self) -> None:
        """Free all models and connections."""
        await self._engines.aclose()

    def _set_for(self, role: Role) -> str | None:
        """Return the model that the settings name for a role."""
        return self.settings.roles.get(role) or self.settings.model

    async def _configured(self, role: Role, progress: Progress, fetch: bool) -> SelectedModel | None:
        """Return the model that the settings name for a role, if it can answer for the role."""
        named = self._set_for(role)
        choice = await self._named(named) if named else None
        if choice is None or not choice.card.takes_input_of(role):
            return None
        if await self._is_available(choice):
            return choice
        other = await self._best(role, progress, fetch)
        if other is None:
            return choice
        return replace(other, fallback_reason=f"{named} is not here; {other.card.name} answers instead")

    async def _best(self, role: Role, progress: Progress, fetch: bool) -> SelectedModel | None:
        name = self.settings.engine
        engine = self.engine(name)
        if fetch and engine.uses_store and role not in ("vision", "audio") and not await self.models():
            await self._fetch_starter(engine, progress)
        cards = await self._cards(name)
        if not cards and not engine.uses_store:
            raise EngineUnavailable(engine.explain_empty())
        return best_for_role(role, cards, name)

    async def _fetch_starter(self, engine: Engine, progress: Progress) -> None:
        async with self._pulling:
            if await engine.models():
                return
            progress(f"First start: fetching {STARTER_MODEL}, once", None)
            await self.fetch(STARTER_MODEL, progress)

    async def _is_available(self, choice: SelectedModel) -> bool:
        if file := choice.card.file:
            if fault := await asyncio.to_thread(header_fault, file):
                raise EngineUnavailable(f"{str(file)!r} {fault}. Name another file, or a model of the catalogue.")
            return True
        if not self.engine(choice.engine).uses_store:
            return True
        return choice.card.name in {card.name for card in await self.models(choice.engine)}

    def _slot(self, choice: SelectedModel, notify: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        settings, name = self.settings, choice.name
        if name not in self._queues:
            limits = settings.max_concurrent_requests
            limit = limits.get(name) or limits.get(choice.engine) or self.engine(choice.engine).parallel_requests
            self._queues[name] = RequestQueue(choice.card.name, limit, settings.queue_timeout)
        return self._queues[name].slot(notify)

    async def _fallbacks(self, asked: SelectedModel, modalities: frozenset[str]) -> AsyncIterator[SelectedModel]:
        """Yield the models of the fallback chain that may replace a model."""
        for named in self.settings.fallback.chain:
            try:
                choice = await self._named(named)
            except QwendeskError:
                # loading it raises the error that says why it cannot answer
                engine, name = self._engines.split(named)
                choice = SelectedModel(engine, ModelCard(name=name))
            if choice.name != asked.name and all(getattr(choice.card, modality) for modality in modalities):
                yield choice

    async def _standby(
        self, role: Role, reasons: list[str], excluded: SelectedModel | None = None
    ) -> SelectedModel | None:
        """Return the first available model of the chain; append to ``reasons`` why each one before it is skipped."""
        for named in self.settings.fallback.chain:
            try:
                choice = await self._named(named)
                if excluded and choice.name == excluded.name:
                    continue
                if reason := await self._unfit_reason(role, choice):
                    reasons.append(reason)
                    continue
            except QwendeskError as error:
                reasons.append(f"{named} could not answer: {error}")
                continue
            return as_fallback(choice, reasons)
        return None

    async def _unfit_reason(self, role: Role, choice: SelectedModel) -> str | None:
        """Return why a model of the chain cannot answer now; None if it can."""
        if not choice.card.takes_input_of(role):
            return f"{choice.name} does not take such input ({role})"
        if self._cooldowns.remaining(choice.name):
            return self._cooldowns.explain(choice.name)
        return None if await self._is_available(choice) else f"{choice.name} has not been fetched"

    async def _cards(self, name: str) -> list[ModelCard]:
        """Return an engine's models; if a chain is set, an engine that failed lately is not asked during its pause."""
        if self.settings.fallback.chain and self._cooldowns.remaining(name):
            raise EngineUnavailable(f"The engine {self._cooldowns.explain(name)}")
        try:
            cards = await self.models(name)
        except FALLBACK_ERRORS as error:
            self._cooldowns.record_failure(name, str(error))
            raise
        self._cooldowns.record_success(name)
        return cards

    async def _named(self, named: str, *, ignore_cooldown: bool = False) -> SelectedModel:
        """Return the model of that name; ``ignore_cooldown`` also asks an engine that failed lately."""
        engine, name = self._engines.split(named)
        port = self.engine(engine)
        if port.uses_store:
            return SelectedModel(engine, self._parts.store.served(self._engines.catalogued(name)))
        cards = {card.name: card for card in await (self.models(engine) if ignore_cooldown else self._cards(engine))}
        card = (
            cards.get(name) or cards.get(f"{name}:latest") or self._parts.catalogue.find_on_server(cards.values(), name)
        )
        card = card or port.fetchable(name)
        if card is None and port.is_listing_complete:
            raise EngineUnavailable(port.explain_missing(name, cards))
        return SelectedModel(engine, card or ModelCard(name=name))
