"""Pieces of an answer in LangChain's form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from qwendesk.engines.stream.tool_calls import Call

if TYPE_CHECKING:
    from qwendesk.engines.base import Delta, Usage


def text_chunk(text: str, thinking: str) -> AIMessageChunk:
    """Return a piece of visible text, of thinking, or of both."""
    extra = {"reasoning_content": thinking} if thinking else {}
    return AIMessageChunk(content=text, additional_kwargs=extra)


def call_chunk(call: Call, index: int) -> AIMessageChunk:
    """Return a whole tool call as one piece."""
    chunk = tool_call_chunk(name=call.name, args=call.arguments_json, id=call.id, index=index)
    return AIMessageChunk(content="", tool_call_chunks=[chunk])


async def emit(message: AIMessageChunk, run_manager: AsyncCallbackManagerForLLMRun | None) -> ChatGenerationChunk:
    """Wrap a piece up and tell the callbacks of it."""
    chunk = ChatGenerationChunk(message=message)
    if run_manager:
        text = message.content if isinstance(message.content, str) else ""
        await run_manager.on_llm_new_token(text, chunk=chunk)
    return chunk


class Ending:
    """Collects it from all pieces, as engines tell it in different ones.

    Args:
        unknown: what is said where an engine tells nothing.
    """

    def __init__(self, unknown: Usage) -> None:
        self._usage = unknown
        self._finish: str | None = None
        self._dropped = 0
        self._first = self._last = 0.0

    @property
    def cut(self) -> bool:
        """Whether the answer was cut at its token limit, as far as is known by now."""
        return self._finish == "length"

    def see(self, delta: Delta) -> None:
        """Note what a piece tells, and when it came."""
        if delta.text or delta.thinking or delta.calls:
            self._last = time.perf_counter()
            self._first = self._first or self._last
        self._usage = delta.usage or self._usage
        self._finish = delta.finish or self._finish
        self._dropped = delta.dropped or self._dropped

    def chunk(self, model: str, *, called: bool) -> AIMessageChunk:
        """Return the last chunk of the model's answer.

        Args:
            model: its name.
            called: whether it called tools.
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
                "finish_reason": "tool_calls" if called else self._finish or "stop",
                "tokens_per_second": usage.tokens_per_second or self._rate(usage.tokens_out),
                "dropped_messages": self._dropped,
            },
            chunk_position="last",
        )

    def _rate(self, tokens: int) -> float:
        """Tokens a second, from the first piece to the last; 0 where fewer than two came."""
        spent = self._last - self._first
        return (tokens - 1) / spent if spent > 0 and tokens > 1 else 0.0
