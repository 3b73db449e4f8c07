"""An engine that stays open when a desk that uses it is closed."""

from __future__ import annotations

from collections.abc import Iterable

from qwendesk.engines.base import Engine, EngineParts, Progress, ResidentModel
from qwendesk.engines.chat import QwenChat
from qwendesk.models.card import ModelCard


class SharedEngine(Engine):
    """Passes everything on to another engine but ``aclose``, so that its models stay loaded.

    Args:
        engine: the engine, which its owner closes.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.parallel_requests = engine.parallel_requests
        self.is_local = engine.is_local
        self.uses_store = engine.uses_store
        self.is_listing_complete = engine.is_listing_complete
        self.is_switching_free = engine.is_switching_free
        self.address = engine.address
        self.fetch_advice = engine.fetch_advice

    @classmethod
    def create(cls, parts: EngineParts) -> SharedEngine:
        """Raise an error: it is made from another engine."""
        raise NotImplementedError("SharedEngine is made from an engine: SharedEngine(engine).")

    async def models(self) -> list[ModelCard]:
        """Return the engine's models."""
        return await self._engine.models()

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return the engine's model."""
        return await self._engine.load(name, progress)

    async def pull(self, name: str, progress: Progress | None = None) -> str:
        """Let the engine pull a model."""
        return await self._engine.pull(name, progress)

    @property
    def missing_setup(self) -> str:
        """The settings that the engine lacks."""
        return self._engine.missing_setup

    def fetchable(self, name: str) -> ModelCard | None:
        """Return the card of a model that the engine would pull."""
        return self._engine.fetchable(name)

    def explain_empty(self) -> str:
        """Return the engine's text."""
        return self._engine.explain_empty()

    def explain_missing(self, name: str, known: Iterable[str]) -> str:
        """Return the engine's text."""
        return self._engine.explain_missing(name, known)

    async def resident_models(self) -> dict[str, ResidentModel]:
        """Return the engine's models in memory."""
        return await self._engine.resident_models()

    async def forget_prompts(self) -> None:
        """Drop the engine's cached prompts."""
        await self._engine.forget_prompts()
