"""The engine port: ``Engine``, which lists and loads models, and ``QwenChat``, a LangChain ``BaseChatModel``.

An engine implements the methods of ``Engine`` and one asynchronous generator, ``QwenChat._deltas``, that turns
messages into ``Delta`` pieces. ``QwenChat`` does what all engines share: it splits off the thinking, parses tool calls
in all their variants, and reports token usage and speed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from qwendesk.engines.stream.chunks import Delta, StreamSummary, Usage, call_chunk, emit, text_chunk
from qwendesk.engines.stream.parser import StreamParser
from qwendesk.errors import ConfigError, EngineError
from qwendesk.models.card import ModelCard, Sampling
from qwendesk.models.catalogue import Catalogue
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import Settings

Progress = Callable[[str, float | None], None]
"""Called with a description and the completed fraction (0 to 1, None: unknown) while a model is pulled or loaded;
always called on the event loop."""

_PASSED_ON = ("think", "think_budget", "seed", "json_schema")
"""Keyword arguments that are passed to ``GenerationOptions`` under the same name."""


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """Capabilities and cost of a model, for its selection."""

    vision: bool = False
    audio: bool = False
    tools: bool = True
    thinking: Literal["none", "hybrid", "always"] = "none"
    """Whether the model thinks before it answers: never, on request, or always."""
    context: int = 32768
    """Context window in tokens, as served by the engine."""
    languages: int = 29
    """Number of languages the model is trained for."""
    loaded: bool = False
    """Whether the model is in memory."""
    cost: float = 1.0
    """Relative cost of a token: active parameters in billions."""


@dataclass(frozen=True, slots=True)
class GenerationOptions:
    """Options of one answer."""

    sampling: Sampling
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    """Tool schemas in OpenAI's format."""
    think: bool | None = None
    """Thinking on or off; None: the model's default."""
    think_budget: int | None = None
    """Number of tokens after which thinking is closed and the answer follows; None: no limit."""
    max_tokens: int = 1024
    seed: int | None = None
    json_schema: dict[str, Any] | None = None
    """JSON schema of the answer."""


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


class QwenChat(BaseChatModel, ABC):
    """A chat model of one engine, with asynchronous methods only.

    Keyword arguments of ``ainvoke``, ``astream`` and ``bind``: ``think``, ``think_budget``, ``max_tokens``,
    ``temperature``, ``top_p``, ``top_k``, ``repetition_penalty``, ``seed``, ``stop``, ``json_schema`` and,
    through ``bind_tools``, ``tools``.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    card: ModelCard
    engine: str
    max_tokens: int = 1024

    @property
    @abstractmethod
    def capabilities(self) -> ModelCapabilities:
        """The capabilities of the model as served by this engine."""

    @abstractmethod
    def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        """Generate one answer in pieces; the last piece carries ``usage``.

        Raises:
            EngineError: the answer could not be generated; the text says why.
        """

    @property
    def _llm_type(self) -> str:
        return f"qwendesk-{self.engine}"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools; ``tool_choice`` can only be ``"auto"`` or None.

        Raises:
            EngineError: ``tool_choice`` forces a tool.
        """
        if tool_choice not in (None, "auto"):
            raise EngineError(f"tool_choice {tool_choice!r} is not supported: leave it out, or set it to 'auto'.")
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        options = self._options(stop, kwargs)
        parser = StreamParser(options.tools)
        summary = StreamSummary(Usage())
        index = 0
        # closed explicitly: an abandoned generator runs on until it is garbage collected
        async with aclosing(self._deltas(messages, options)) as deltas:
            async for delta in deltas:
                summary.add(delta)
                text, thinking = parser.feed(delta.text, delta.thinking)
                if text or thinking:
                    yield await emit(text_chunk(text, thinking), run_manager)
                for call in delta.calls:
                    yield await emit(
                        call_chunk(parser.repair_call(call, is_truncated=summary.is_truncated), index), run_manager
                    )
                    index += 1
        text, thinking, calls = parser.finish(is_truncated=summary.is_truncated)
        if text or thinking:
            yield await emit(text_chunk(text, thinking), run_manager)
        for call in calls:
            yield await emit(call_chunk(call, index), run_manager)
            index += 1
        yield await emit(summary.chunk(self.card.name, has_tool_calls=index > 0), run_manager)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return await agenerate_from_stream(self._astream(messages, stop, run_manager, **kwargs))

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        raise EngineError("Qwendesk's models are asynchronous: use ainvoke() or astream().")

    def _options(self, stop: list[str] | None, kwargs: dict[str, Any]) -> GenerationOptions:
        given = {name: kwargs.pop(name) for name in _PASSED_ON if name in kwargs}
        thinks = given.get("think") is True or self.card.thinking == "always"
        sampling = self.card.thinking_sampling if thinks and self.card.thinking_sampling else self.card.sampling
        changed = {name: kwargs.pop(name) for name in Sampling.names() if kwargs.get(name) is not None}
        return GenerationOptions(
            sampling=replace(sampling, **changed),
            stop=tuple(stop or ()),
            tools=tuple(kwargs.pop("tools", ())),
            max_tokens=kwargs.pop("max_tokens", None) or self.max_tokens,
            **given,
        )


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
        return f"{self.name} has no model {name!r}; there are: {', '.join(known) or 'none'}."

    async def resident_models(self) -> dict[str, ResidentModel]:
        """Return the models in memory by name, as far as the engine knows them."""
        return {}

    async def forget_prompts(self) -> None:  # noqa: B027 - optional: many engines keep no prompts
        """Drop cached prompts; answers that are being generated continue."""

    async def aclose(self) -> None:  # noqa: B027 - optional: an engine may hold nothing
        """Free models and connections."""
