"""Pieces of an answer in LangChain's form."""

from __future__ import annotations

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun
from langchain_core.messages import AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGenerationChunk

from qwendesk.engines.tool_calls import Call


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
