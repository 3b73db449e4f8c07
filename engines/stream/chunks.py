"""The pieces of a streamed answer, and their LangChain chunks."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from qwendesk.engines.stream.tool_calls import ParsedToolCall

if TYPE_CHECKING:
    pass


def text_chunk(text: str, thinking: str) -> AIMessageChunk:
    """Return a chunk of visible text, of thinking, or of both."""
    extra = {"reasoning_content": thinking} if thinking else {}
    return AIMessageChunk(content=text, additional_kwargs=extra)


def call_chunk(call: ParsedToolCall, index: int) -> AIMessageChunk:
    """Return a complete tool call as one chunk."""
    chunk = tool_call_chunk(name=call.name, args=call.arguments_json, id=call.id, index=index)
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
