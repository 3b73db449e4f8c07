"""What the graph carries from node to node in one turn."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, Required, TypedDict

from langchain_core.messages import BaseMessage

from qwendesk.agents.routing.base import Decision, Signals
from qwendesk.engines.pool import Choice
from qwendesk.messages import Check, Inbound, Role, ToolUse


@dataclass(frozen=True, slots=True)
class Tally:
    """Tokens and times of one model call; calls of one turn add up."""

    tokens_in: int = 0
    tokens_out: int = 0
    generating: float = 0.0
    """Seconds spent on ``tokens_out``."""
    first_at: float | None = None
    """``time.perf_counter()`` at the first token."""

    def __add__(self, other: Tally) -> Tally:
        """Return the sum; the first token stays the first."""
        first = self.first_at if self.first_at is not None else other.first_at
        return Tally(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.generating + other.generating,
            first,
        )


class TurnInput(TypedDict):
    """What a turn begins with."""

    inbound: Inbound
    history: list[BaseMessage]
    """Older turns of the conversation, oldest first."""
    language: str | None
    """The conversation's language so far."""


class TurnState(TypedDict, total=False):
    """Everything known of the turn so far."""

    inbound: Required[Inbound]
    history: Required[list[BaseMessage]]
    language: Required[str | None]
    signals: Signals
    decision: Decision
    unasked: Role | None
    """The role that would have been chosen had the person wished for none; None where none was wished for."""
    choice: Choice | None
    think: bool
    messages: Annotated[list[BaseMessage], operator.add]
    """This turn's messages: the question, tool calls, their results, the answer."""
    tools: Annotated[list[ToolUse], operator.add]
    rounds: int
    """How often tools have been called."""
    stopped: str | None
    """Why no more tools may be called."""
    thinking: Annotated[str, operator.add]
    tally: Annotated[Tally, operator.add]
    checks: list[Check]
    notes: Annotated[list[str], operator.add]
    text: str
    """The finished answer."""
