"""The engine port: ``Engine``, which lists and loads models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from qwendesk.engines.chat import QwenChat
from qwendesk.errors import ConfigError, no_such
from qwendesk.models.card import ModelCard
from qwendesk.models.catalogue import Catalogue
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import Settings

Progress = Callable[[str, float | None], None]
"""Called with a description and the completed fraction (0 to 1, None: unknown) while a model is pulled or loaded;
always called on the event loop."""


@dataclass(frozen=True, slots=True)
class ResidentModel:
    """A model in an engine's memory."""

    bytes: int
    """Memory in bytes."""
    gpu_bytes: int = 0
    """The part of it that is GPU memory."""
    context: int | None = None
    """Context window in tokens that the model was loaded with, if known."""
    expires_at: datetime | None = None
    """When the engine unloads the model unless it is used."""


@dataclass(frozen=True, slots=True)
class EngineParts:
    """Dependencies of an engine."""

    settings: Settings
    catalogue: Catalogue
    store: ModelStore


class Engine(ABC):
    """Lists and loads models, for example with llama.cpp in this process or on an Ollama server.

    A subclass sets ``name`` and overrides the attributes whose default does not fit.
    """

    name: str
    parallel_requests: int = 8
    """Number of concurrent requests to one model; further ones wait in a queue."""
    is_local: bool = True
    """Whether models compute on this machine, so that background work waits until no turn is running."""
    uses_store: bool = False
    """Whether the models are GGUF files of the model store, which the program pulls."""
    is_listing_complete: bool = False
    """Whether ``models`` lists every model that can be loaded, so that any other name is an error."""
    is_switching_free: bool = False
    """Whether ``load`` takes no time, because a server keeps its models in memory."""
    address: str = ""
    """URL of the engine's server, for messages; empty for an engine without a server."""
    fetch_advice: str = ""
    """How to get a first model, as a sentence for the operator."""

    @classmethod
    @abstractmethod
    def create(cls, parts: EngineParts) -> Engine:
        """Create the engine from the program's settings, without loading a model or opening a connection."""

    @classmethod
    def for_server(cls, name: str, parts: EngineParts) -> Engine:
        """Create the engine of the OpenAI-compatible server ``name`` of the settings.

        Raises:
            ConfigError: the engine does not connect to such servers, or the server's kind is unknown.
        """
        raise ConfigError(f"The engine {cls.name!r} does not connect to OpenAI-compatible servers such as {name!r}.")

    @abstractmethod
    async def models(self) -> list[ModelCard]:
        """Return the models that can be loaded without pulling one first.

        Raises:
            EngineUnavailable: the engine's server does not answer.
        """

    @abstractmethod
    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return a model that is ready to answer; a loaded model is returned without delay.

        Raises:
            EngineUnavailable: the model is not available; the text says how to get it.
        """

    async def pull(self, name: str, progress: Progress | None = None) -> str:
        """Let the engine's server pull a model, and return the server's name for it.

        Raises:
            ConfigError: the engine cannot pull models.
        """
        raise ConfigError(f"The engine {self.name!r} fetches no models: put {name!r} on its server yourself.")

    @property
    def missing_setup(self) -> str:
        """The settings that the engine lacks, as a sentence; empty for an engine that is set up."""
        return ""

    def fetchable(self, name: str) -> ModelCard | None:
        """Return the card of a model that ``load`` would pull; None if it would not pull a model of this name."""
        return None

    def explain_empty(self) -> str:
        """Return the error text for an engine without models, with the next step."""
        return (
            f"The engine {self.name} has no model yet: run 'qwendesk models pull NAME' ('models list --all' names "
            "them)."
        )

    def explain_missing(self, name: str, known: Iterable[str]) -> str:
        """Return the error text for a model that the engine does not have, with those it has."""
        return no_such(f"{self.name} has no model", name, known)

    async def resident_models(self) -> dict[str, ResidentModel]:
        """Return the models in memory by name, as far as the engine knows them."""
        return {}

    async def forget_prompts(self) -> None:  # noqa: B027 - optional: many engines keep no prompts
        """Drop cached prompts; answers that are being generated continue."""

    async def aclose(self) -> None:  # noqa: B027 - optional: an engine may hold nothing
        """Free models and connections."""
