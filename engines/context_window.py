"""Make a conversation fit into a context window: the system text and the newest turns stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from qwendesk.errors import EngineError

_BYTES_A_TOKEN = 3
_AROUND = 8
"""Tokens that a chat template writes around a message."""
_MOST_CHARACTERS = 16
"""A text of more characters for each token of the window is not even looked at."""
_USUAL_CHARACTERS = 3
"""Characters of a token, for the estimate that is told then."""


def fit(messages: list[BaseMessage], *, excess: int, total: int) -> list[BaseMessage]:
    """Leave out the oldest messages until about ``excess`` of ``total`` tokens are gone.

    What is left begins with the system text and then a person's message; the newest of these and all after it always
    stay, so the same list comes back where nothing more can go.
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


def within_reach(messages: list[BaseMessage], context: int) -> list[BaseMessage]:
    """Leave out the oldest messages where no tokenizer could make so much text fit; it costs no work to know.

    Raises:
        EngineError: what has to stay is out of reach already.
    """
    most = _MOST_CHARACTERS * context
    size = sum(map(_length, messages))
    if size <= most:
        return messages
    kept = fit(messages, excess=size - most, total=size)
    left = sum(map(_length, kept))
    if left > most:
        raise too_long(left // _USUAL_CHARACTERS, context)
    return kept


def fit_estimated(
    messages: list[BaseMessage],
    *,
    context: int,
    answer: int,
    tools: Sequence[dict[str, Any]] = (),
    scale: float = 1.0,
) -> tuple[list[BaseMessage], int]:
    """Leave out the oldest messages for a server whose tokenizer is not at hand; return the rest and how many went.

    Three bytes count as a token: more than English needs, about what Chinese does; ``scale`` corrects that where the
    server has said how many there are. What cannot be made to fit is left to the server to refuse.
    """
    room = int((context - min(answer, context // 4)) / scale)
    kept = messages
    while (size := estimate(kept, tools)) > room:
        fewer = fit(kept, excess=size - room, total=size)
        if len(fewer) == len(kept):
            break
        kept = fewer
    return kept, len(messages) - len(kept)


def estimate(messages: list[BaseMessage], tools: Sequence[dict[str, Any]] = ()) -> int:
    """Return about how many tokens messages and tools have."""
    return sum(map(_estimate, messages)) + len(json.dumps(tools)) // _BYTES_A_TOKEN


def too_long(tokens: int, room: int) -> EngineError:
    """Return the error for a single message that no leaving out can help."""
    return EngineError(
        f"This message needs {tokens} tokens, but the model has room for {room}. Shorten it, choose a model with a "
        "larger context, or raise QWENDESK_CONTEXT_TOKENS."
    )


def _estimate(message: BaseMessage) -> int:
    return len(message.text.encode("utf-8", errors="replace")) // _BYTES_A_TOKEN + _AROUND


def _length(message: BaseMessage) -> int:
    return len(message.text) + 16
