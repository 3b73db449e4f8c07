"""Which model answers for a role, and one place that holds the loaded ones."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from qwendesk import plugins
from qwendesk.engines.base import Engine, EngineParts, Progress, QwenChat
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.store import PullProgress
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.messages import Role
from qwendesk.settings import STARTER_MODEL, Settings

_LISTING_SECONDS = 10.0
"""How long an engine's list of models is trusted."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that answers for a role."""

    engine: str
    card: ModelCard
    fallback: str | None = None
    """Why it is not a model made for the role; None when it is."""


def _silent(text: str, fraction: float | None) -> None:
    """Tell nobody."""


class ModelPool:
    """Chooses models and keeps them loaded; engines are made when first needed."""

    def __init__(self, parts: EngineParts, engines: Mapping[str, Engine] | None = None) -> None:
        self._parts = parts
        self._engines = dict(engines or {})
        self._listed: dict[str, tuple[float, list[ModelCard]]] = {}
        self._pulling = asyncio.Lock()

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
            self._engines[name] = plugins.load("engines", name).create(self._parts)
        return self._engines[name]

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

        An empty store is given the starter model first, unless ``fetch`` is off. None where no model can do it at all:
        a picture, and no model that sees.

        Raises:
            ConfigError: the wished model is unknown.
            EngineUnavailable: the wished model is not there, or the engine does not answer.
        """
        if wish:
            choice = await self._named(wish)
            return choice if _able(role, choice.card) else None
        return await self._configured(role, progress, fetch) or await self._best(role, progress, fetch)

    async def _configured(self, role: Role, progress: Progress, fetch: bool) -> Choice | None:
        """Return the model that the settings name for a role, if it can be used for it."""
        named = self.settings.roles.get(role) or self.settings.model
        choice = await self._named(named) if named else None
        if choice is None or not _able(role, choice.card):
            return None
        if await self._is_there(choice):
            return choice
        other = await self._best(role, progress, fetch)
        return replace(other, fallback=f"{named} is not here; {other.card.name} stands in") if other else choice

    async def _best(self, role: Role, progress: Progress, fetch: bool) -> Choice | None:
        name = self.settings.engine
        if fetch and name == "llamacpp" and role not in ("vision", "audio") and not await self.models():
            await self._fetch_starter(progress)
        return best(role, await self.models(), name)

    async def _fetch_starter(self, progress: Progress) -> None:
        async with self._pulling:
            if await self.engine("llamacpp").models():
                return
            card = self._parts.catalogue.get(STARTER_MODEL)
            progress(f"First start: fetching {card.name}, once", None)
            await self._parts.store.pull(card, lambda step: progress(*_told(step)))
        self._listed.clear()

    async def _is_there(self, choice: Choice) -> bool:
        if choice.engine != "llamacpp" or choice.card.file:
            return True
        return choice.card.name in {card.name for card in await self.models("llamacpp")}

    async def load(self, choice: Choice, progress: Progress | None = None) -> QwenChat:
        """Return the chosen model, ready to answer."""
        return await self.engine(choice.engine).load(choice.card.name, progress)

    async def aclose(self) -> None:
        """Free all models and connections."""
        for engine in self._engines.values():
            await engine.aclose()

    async def _named(self, named: str) -> Choice:
        engine, name = self._split(named)
        if engine == "llamacpp":
            return Choice(engine, self._parts.store.served(self._parts.catalogue.get(name)))
        cards = {card.name: card for card in await self.models(engine)}
        card = cards.get(name) or self._by_row(name, cards)
        if card is None and engine in ("scripted", "ollama"):
            raise EngineUnavailable(f"{engine} has no model {name!r}; there are: {', '.join(cards) or 'none'}.")
        return Choice(engine, card or ModelCard(name=name))

    def _by_row(self, name: str, cards: dict[str, ModelCard]) -> ModelCard | None:
        """Find a server's model by its catalogue name."""
        catalogue = self._parts.catalogue
        repo = catalogue.get(name).repo if name in catalogue else ""
        return next((card for card in cards.values() if repo and card.repo == repo), None)

    def _split(self, named: str) -> tuple[str, str]:
        """Split ``engine:name``; a name's own colon (``qwen3:8b``) is not taken for an engine's."""
        engine, colon, name = named.partition(":")
        if colon and engine in {*plugins.names("engines"), *self._engines}:
            if not name:
                raise ConfigError(f"{named!r} names an engine but no model: write {engine}:NAME.")
            return engine, name
        return self.settings.engine, named


def best(role: Role, cards: list[ModelCard], engine: str) -> Choice | None:
    """Return the best of the models for a role: made for it, else able to stand in, larger before smaller."""
    able = [card for card in cards if _able(role, card)]
    made = [card for card in able if role in card.roles]
    if made:
        return Choice(engine, min(made, key=lambda card: (card.roles.index(role), -card.parameters)))
    if not able:
        return None
    chosen = min(able, key=lambda card: (not _thinks(role, card), "general" not in card.roles, -card.parameters))
    return Choice(engine, chosen, f"no model for {role} is installed; {chosen.name} stands in")


def _able(role: Role, card: ModelCard) -> bool:
    return {"vision": card.vision, "audio": card.audio}.get(role, True)


def _thinks(role: Role, card: ModelCard) -> bool:
    return role == "thinking" and card.thinking != "none"


def _told(step: PullProgress) -> tuple[str, float | None]:
    source = f" from {step.source}" if step.source else ""
    text = f"Fetching {step.model}{source}" + (f": {step.note}" if step.note else "")
    if not step.total or step.note:
        return text, None
    return f"{text}: {step.done / 1e6:,.0f} of {step.total / 1e6:,.0f} MB", step.done / step.total
