"""Make a conversation fit into a context window: the system text and the newest turns stay."""

from __future__ import annotations

from langchain_core.messages import BaseMessage, HumanMessage, SystemMessage

from qwendesk.errors import EngineError


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


def too_long(tokens: int, room: int) -> EngineError:
    """Return the error for a single message that no leaving out can help."""
    return EngineError(
        f"This message needs {tokens} tokens, but the model has room for {room}. Shorten it, choose a model with a "
        "larger context, or raise QWENDESK_CONTEXT_TOKENS."
    )


def _length(message: BaseMessage) -> int:
    return len(message.text) + 16
