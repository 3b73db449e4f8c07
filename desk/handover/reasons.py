"""The reasons for which a conversation is handed over to a person."""

from __future__ import annotations

from typing import Literal, get_args

Reason = Literal[
    "asked",
    "topic",
    "anger",
    "rated_down",
    "repeated",
    "no_approver",
    "tool_failed",
    "promise",
    "failed_checks",
    "unknown",
    "low_confidence",
    "operator",
]
"""Codes that a ticket stores; the first of several that hold is given."""
REASONS: tuple[Reason, ...] = get_args(Reason)

IN_WORDS: dict[Reason, str] = {
    "asked": "the customer asked for a person",
    "topic": "the message is about a topic that always goes to a person",
    "anger": "the customer is angry",
    "rated_down": "the customer rated an answer as bad",
    "repeated": "the customer asked the same question again and again",
    "no_approver": "a call of a risky tool was refused, since nobody could approve it",
    "tool_failed": "a tool failed",
    "promise": "the answer promised an action that no tool did",
    "failed_checks": "the answer failed its checks or was withheld",
    "unknown": "no document answers the question",
    "low_confidence": "the desk was unsure several times in a row",
    "operator": "an operator took the conversation",
}
"""What an operator reads."""
