"""Fit a conversation into the context window; the system text and the newest turns are kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from qwendesk.errors import EngineError

_BYTES_PER_TOKEN = 3
_MESSAGE_OVERHEAD_TOKENS = 8
"""Tokens that a chat template adds to a message."""
_MAX_CHARS_PER_TOKEN = 16
"""Characters per token above which a text cannot fit, whatever the tokenizer."""
_TYPICAL_CHARS_PER_TOKEN = 3
"""Characters per token, for the estimate in the error text."""


def drop_oldest(messages: list[BaseMessage], *, excess: int, total: int) -> list[BaseMessage]:
    """Drop the oldest messages until about ``excess`` of ``total`` tokens are removed.

    The result begins with the system text and a user's message. The newest user's message and all after it are never
    dropped: the same list is returned if nothing else is left to drop.
    """
    head = [message for message in messages if isinstance(message, SystemMessage)]
    tail = [message for message in messages if not isinstance(message, SystemMessage)]
    starts = [index for index, message in enumerate(tail) if isinstance(message, HumanMessage)]
    characters = sum(_length(message) for message in messages) or 1
    wanted = excess / total * characters
    for start in starts[1:]:
        if sum(_length(message) for message in tail[:start]) >= wanted or start == starts[-1]:
            return head + tail[start:]
    return messages


def limit_by_length(messages: list[BaseMessage], context: int) -> list[BaseMessage]:
    """Drop the oldest messages by their number of characters, before anything is tokenized.

    Raises:
        EngineError: the newest message alone has too many characters.
    """
    limit = _MAX_CHARS_PER_TOKEN * context
    size = sum(map(_length, messages))
    if size <= limit:
        return messages
    kept = drop_oldest(messages, excess=size - limit, total=size)
    left = sum(map(_length, kept))
    if left > limit:
        raise context_exceeded(left // _TYPICAL_CHARS_PER_TOKEN, context)
    return kept


def fit_by_estimate(
    messages: list[BaseMessage],
    *,
    context: int,
    answer_tokens: int,
    tools: Sequence[dict[str, Any]] = (),
    scale: float = 1.0,
) -> tuple[list[BaseMessage], int]:
    """Drop the oldest messages by estimated tokens; return the rest and the number of dropped messages.

    For servers whose tokenizer is not available here. An estimate counts three bytes as one token, which is too many
    for English and about right for Chinese; ``scale`` corrects it once the server has reported the real number. A
    message that is too long on its own is kept, and the server refuses it.
    """
    room = int((context - min(answer_tokens, context // 4)) / scale)
    kept = messages
    while (size := estimate_tokens(kept, tools)) > room:
        fewer = drop_oldest(kept, excess=size - room, total=size)
        if len(fewer) == len(kept):
            break
        kept = fewer
    return kept, len(messages) - len(kept)


def estimate_tokens(messages: list[BaseMessage], tools: Sequence[dict[str, Any]] = ()) -> int:
    """Return the estimated number of tokens of messages and tools."""
    return estimate_text_tokens(message.text for message in messages) + len(json.dumps(tools)) // _BYTES_PER_TOKEN


def estimate_text_tokens(texts: Iterable[str]) -> int:
    """Return the estimated number of tokens of messages with these texts."""
    return sum(
        len(text.encode("utf-8", errors="replace")) // _BYTES_PER_TOKEN + _MESSAGE_OVERHEAD_TOKENS for text in texts
    )


def context_exceeded(tokens: int, room: int) -> EngineError:
    """Return the error for a message that does not fit even if all others are dropped."""
    return EngineError(
        f"This message needs {tokens} tokens, but the model has room for {room}. Shorten it, choose a model with a "
        "larger context, or raise QWENDESK_CONTEXT_TOKENS."
    )


def _length(message: BaseMessage) -> int:
    return len(message.text) + 16
