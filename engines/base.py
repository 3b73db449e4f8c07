"""The engine's port: LangChain's ``BaseChatModel`` with ``Capabilities`` beside it.

An engine implements two things: which models it can run (``Engine``), and one asynchronous generator
that turns messages into ``Delta`` pieces (``QwenChat._deltas``). Everything a Qwen needs on top of that,
splitting the thinking off, reading tool calls in all their habits, usage and timings, is done here once.
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

from qwendesk.engines.stream.chunks import Ending, call_chunk, emit, text_chunk
from qwendesk.engines.stream.parser import AnswerReader, Call
from qwendesk.errors import ConfigError, EngineError
from qwendesk.models.card import ModelCard, Sampling
from qwendesk.models.catalogue import Catalogue
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import Settings

Progress = Callable[[str, float | None], None]
"""Told what is being done while a model is pulled or loaded, and how far it is (0 to 1, None: unknown); it is called
on the event loop only."""


_PASSED_ON = ("think", "think_budget", "seed", "json_schema")
"""Keyword arguments that go into ``Options`` under their own name."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do and what it costs; the router decides by it."""

    vision: bool = False
    audio: bool = False
    tools: bool = True
    thinking: Literal["none", "hybrid", "always"] = "none"
    """Whether the model thinks before it answers: never, when asked to, always."""
    context: int = 32768
    """Context window in tokens, as the engine serves it."""
    languages: int = 29
    """How many languages the model is made for."""
    loaded: bool = False
    """Whether the model is in memory now."""
    cost: float = 1.0
    """Relative cost of a token: billions of parameters that are active."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts of one answer."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    """How many of ``tokens_in`` came from the prompt cache."""
    tokens_per_second: float = 0.0
    """Speed of generation as the engine measured it; 0: not measured."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of an answer, as an engine's library hands it over."""

    text: str = ""
    """Visible text; tags of thinking and tool calls may still be inside. An engine whose prompt already ends in the
    opening ``<think>`` tag hands that tag over as its first piece."""
    thinking: str = ""
    """Thinking that the engine's server has already split off."""
    calls: tuple[Call, ...] = ()
    """Tool calls that the engine's server has already read."""
    usage: Usage | None = None
    finish: Literal["stop", "length", "tool_calls"] | None = None
    dropped: int = 0
    """How many of the oldest messages were left out because the context window is full."""


@dataclass(frozen=True, slots=True)
class Options:
    """How one answer is to be made."""

    sampling: Sampling
    stop: tuple[str, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()
    """Tool schemas in OpenAI's form."""
    think: bool | None = None
    """Thinking on or off; None: the model's own habit."""
    think_budget: int | None = None
    """After so many tokens thinking is closed and the answer follows; None: no limit of its own."""
    max_tokens: int = 1024
    seed: int | None = None
    json_schema: dict[str, Any] | None = None
    """JSON schema the answer must follow."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A model in an engine's memory."""

    bytes: int
    """Memory in all."""
    gpu_bytes: int = 0
    """How much of it is a GPU's."""
    context: int | None = None
    """Context window it was loaded with, where that is known."""
    until: datetime | None = None
    """When it is thrown out unless it is used."""


class QwenChat(BaseChatModel, ABC):
    """A chat model of one engine; asynchronous only.

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
    def capabilities(self) -> Capabilities:
        """What this model can do as it is served here."""

    @abstractmethod
    def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        """Generate one answer piece by piece; the last piece carries ``usage``.

        Raises:
            EngineError: the answer could not be made; the text says why.
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
        """Let the model call tools; it always chooses freely, so ``tool_choice`` may only be ``"auto"`` or None."""
        if tool_choice not in (None, "auto"):
            raise EngineError(
                f"tool_choice {tool_choice!r} is not supported: a Qwen chooses its tools freely ('auto')."
            )
        return self.bind(tools=[convert_to_openai_tool(tool) for tool in tools], **kwargs)

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        options = self._options(stop, kwargs)
        reader = AnswerReader(options.tools)
        ending = Ending(Usage())
        index = 0
        # closed here, at once: a generator that is only dropped goes on until somebody collects it
        async with aclosing(self._deltas(messages, options)) as deltas:
            async for delta in deltas:
                ending.see(delta)
                text, thinking = reader.feed(delta.text, delta.thinking)
                if text or thinking:
                    yield await emit(text_chunk(text, thinking), run_manager)
                for call in delta.calls:
                    yield await emit(call_chunk(reader.call(call, cut=ending.cut), index), run_manager)
                    index += 1
        text, thinking, calls = reader.finish(cut=ending.cut)
        if text or thinking:
            yield await emit(text_chunk(text, thinking), run_manager)
        for call in calls:
            yield await emit(call_chunk(call, index), run_manager)
            index += 1
        yield await emit(ending.chunk(self.card.name, called=index > 0), run_manager)

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

    def _options(self, stop: list[str] | None, kwargs: dict[str, Any]) -> Options:
        known = {name: kwargs.pop(name) for name in _PASSED_ON if name in kwargs}
        thinks = known.get("think") is True or self.card.thinking == "always"
        sampling = self.card.thinking_sampling if thinks and self.card.thinking_sampling else self.card.sampling
        changed = {name: kwargs.pop(name) for name in Sampling.names() if kwargs.get(name) is not None}
        return Options(
            sampling=replace(sampling, **changed),
            stop=tuple(stop or ()),
            tools=tuple(kwargs.pop("tools", ())),
            max_tokens=kwargs.pop("max_tokens", None) or self.max_tokens,
            **known,
        )


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What an engine may be made from."""

    settings: Settings
    catalogue: Catalogue
    store: ModelStore


class Engine(ABC):
    """One way to run models, such as llama.cpp in this process or an Ollama server.

    A subclass sets ``name`` and whatever of the other attributes differs from the default.
    """

    name: str
    parallel: int = 8
    """How many answers of one model are made side by side; further ones wait in line."""
    is_local: bool = True
    """Whether the models compute on this machine: background work then waits until no turn runs."""
    uses_store: bool = False
    """Whether the models are GGUF files of the model store, which the program itself fetches."""
    lists_all: bool = False
    """Whether ``models`` names every model that can be loaded, so that any other name is an error."""
    switches_free: bool = False
    """Whether ``load`` costs nothing, because a server keeps its models in memory."""
    address: str = ""
    """URL of the engine's server, for messages; empty without one."""
    fetch_advice: str = ""
    """How to fetch a first model, as a sentence for the person who runs the desk."""

    @classmethod
    @abstractmethod
    def create(cls, parts: EngineParts) -> Engine:
        """Make the engine from the program's settings; nothing is loaded or connected yet."""

    @abstractmethod
    async def models(self) -> list[ModelCard]:
        """Return what can be used now without fetching anything.

        Raises:
            EngineUnavailable: the engine's server does not answer.
        """

    @abstractmethod
    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return a model that is ready to answer; loading the same one again is free.

        Raises:
            EngineUnavailable: the model is not there; the text says how to get it.
        """

    async def pull(self, name: str, progress: Progress | None = None) -> str:
        """Let the engine's server fetch a model, and return the server's name for it.

        Raises:
            ConfigError: models of this engine are not fetched through it.
        """
        raise ConfigError(f"The engine {self.name!r} fetches no models: put {name!r} on its server yourself.")

    @property
    def missing_setup(self) -> str:
        """What to set before the engine can be used, as a sentence; empty where it is set up."""
        return ""

    def fetchable(self, name: str) -> ModelCard | None:
        """Return the card of a model that ``load`` would fetch by itself; None: it fetches none of that name."""
        return None

    def explain_empty(self) -> str:
        """Say that the engine has no model at all, and what to do."""
        return (
            f"The engine {self.name} has no model yet: run 'qwendesk models pull NAME' ('models list --all' names "
            "them)."
        )

    def explain_missing(self, name: str, known: Iterable[str]) -> str:
        """Say that the engine does not have this model, and which it has."""
        return f"{self.name} has no model {name!r}; there are: {', '.join(known) or 'none'}."

    async def resident(self) -> dict[str, Resident]:
        """Return the models in memory by name, as far as the engine can tell."""
        return {}

    async def forget_prompts(self) -> None:  # noqa: B027 - an engine that keeps no prompts need not say so
        """Drop what is kept of prompts to make the next turn of a conversation faster; answers go on."""

    async def aclose(self) -> None:  # noqa: B027 - an engine that holds nothing need not say so
        """Free what the engine holds."""
