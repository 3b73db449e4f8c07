"""The chat model port: ``QwenChat``, a LangChain ``BaseChatModel``.

An engine implements one asynchronous generator, ``QwenChat._deltas``, that turns messages into ``Delta`` pieces.
``QwenChat`` does what all engines share: it splits off the thinking, parses tool calls in all their variants, and
reports token usage and speed.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any, Literal
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models.base import LanguageModelInput
from langchain_core.language_models.chat_models import BaseChatModel, agenerate_from_stream
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from qwendesk.engines.stream.parser import StreamParser
from qwendesk.engines.stream.tool_calls import ParsedToolCall
from qwendesk.errors import EngineError
from qwendesk.models.card import ModelCard, Sampling

_PASSED_ON = ("think", "think_budget", "seed", "json_schema")
"""Keyword arguments that are passed to ``GenerationOptions`` under the same name."""
_CALL_ID_CHARS = 9
"""As many as some models' templates demand; a person can type it."""


@dataclass(frozen=True, slots=True)
class ModelCapabilities:
    """What a model can do as its engine serves it; ``QwenChat.card`` describes the model itself."""

    vision: bool = False
    audio: bool = False
    context: int = 32768
    """Context window in tokens."""
    loaded: bool = False
    """Whether the model is in memory."""


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
class Usage:
    """Token counts of one answer."""

    tokens_in: int = 0
    tokens_out: int = 0
    cached: int = 0
    """The part of ``tokens_in`` that came from the prompt cache."""
    tokens_per_second: float = 0.0
    """Speed of generation measured by the engine; 0: not measured."""


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of an answer, as an engine's library returns it."""

    text: str = ""
    """Visible text; it may contain tags of thinking and tool calls. An engine whose prompt ends in the opening
    ``<think>`` tag yields that tag as its first piece."""
    thinking: str = ""
    """Thinking that the engine's server has split off."""
    calls: tuple[ParsedToolCall, ...] = ()
    """Tool calls that the engine's server has parsed."""
    usage: Usage | None = None
    finish: Literal["stop", "length", "tool_calls"] | None = None
    dropped: int = 0
    """Number of the oldest messages that were dropped because the context window is full."""


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


def text_chunk(text: str, thinking: str) -> AIMessageChunk:
    """Return a chunk of visible text, of thinking, or of both."""
    extra = {"reasoning_content": thinking} if thinking else {}
    return AIMessageChunk(content=text, additional_kwargs=extra)


def call_chunk(call: ParsedToolCall, index: int) -> AIMessageChunk:
    """Return a complete tool call as one chunk, with an id of its own: a server may give all calls the same."""
    chunk = tool_call_chunk(name=call.name, args=call.arguments_json, id=uuid4().hex[:_CALL_ID_CHARS], index=index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


async def emit(message: AIMessageChunk, run_manager: AsyncCallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    """Return a generation chunk and notify the callbacks."""
    chunk = ChatGenerationChunk(message=message)
    if run_manager:
        text = message.content if isinstance(message.content, str) else ""
        await run_manager.on_llm_new_token(text, chunk=chunk)
    return chunk


class StreamSummary:
    """Collects usage, finish reason and dropped messages from all pieces of an answer.

    Args:
        default: the usage of an answer whose engine reports none.
    """

    def __init__(self, default: Usage) -> None:
        self._usage = default
        self._finish: str | None = None
        self._dropped = 0
        self._first = self._last = 0.0

    @property
    def is_truncated(self) -> bool:
        """Whether the pieces so far say that the answer was cut at its token limit."""
        return self._finish == "length"

    def add(self, delta: Delta) -> None:
        """Record a piece and the time at which it came."""
        if delta.text or delta.thinking or delta.calls:
            self._last = time.perf_counter()
            self._first = self._first or self._last
        self._usage = delta.usage or self._usage
        self._finish = delta.finish or self._finish
        self._dropped = delta.dropped or self._dropped

    def chunk(self, model: str, *, has_tool_calls: bool) -> AIMessageChunk:
        """Return the last chunk of an answer.

        Args:
            model: the name of the model.
            has_tool_calls: whether the answer has tool calls.
        """
        usage = self._usage
        return AIMessageChunk(
            content="",
            usage_metadata=UsageMetadata(
                input_tokens=usage.tokens_in,
                output_tokens=usage.tokens_out,
                total_tokens=usage.tokens_in + usage.tokens_out,
                input_token_details=InputTokenDetails(cache_read=usage.cached),
            ),
            response_metadata={
                "model_name": model,
                "finish_reason": "tool_calls" if has_tool_calls else self._finish or "stop",
                "tokens_per_second": usage.tokens_per_second or self._rate(usage.tokens_out),
                "dropped_messages": self._dropped,
            },
            chunk_position="last",
        )

    def _rate(self, tokens: int) -> float:
        """Return the tokens per second from the first piece to the last; 0 for fewer than two pieces."""
        spent = self._last - self._first
        return (tokens - 1) / spent if spent > 0 and tokens > 1 else 0.0
