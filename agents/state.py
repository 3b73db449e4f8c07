"""What the graph carries from node to node in one turn."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, NotRequired, Required, TypedDict

from langchain_core.messages import BaseMessage

from qwendesk.agents.escalation import Step
from qwendesk.agents.past import Past
from qwendesk.agents.routing.base import Decision, Signals
from qwendesk.agents.split import Question
from qwendesk.engines.choice import Choice
from qwendesk.errors import QwendeskError
from qwendesk.messages import Check, Inbound, Part, Role, ToolUse


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


@dataclass(frozen=True, slots=True)
class Again:
    """The second try that an answer needs."""

    reason: str
    step: Step
    told: bool
    """Whether the model is told what was wrong; an answer that was none is just asked for anew."""
    first: str
    """The first answer: it stands where the second try gives none."""
    before: Choice
    """Whose it is."""
    thought: bool
    """Whether it was thought about."""


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """What became of one question of several."""

    index: int
    text: str
    receipt: Part
    state: TurnState | None = None
    """None where it could not be answered at all."""
    error: QwendeskError | None = None


class TurnInput(TypedDict):
    """What a turn begins with."""

    background: NotRequired[str]
    """What the model is told of the past: a summary, facts about the person."""

    documents: NotRequired[str]
    """What the model is told of the documents that came with the message."""
    inbound: Inbound
    history: list[BaseMessage]
    """Older turns of the conversation, oldest first."""
    language: str | None
    """The conversation's language so far."""
    past: Past
    """Its last turns, as far as they tell where this one belongs."""


class TurnState(TypedDict, total=False):
    """Everything known of the turn so far."""

    inbound: Required[Inbound]
    history: Required[list[BaseMessage]]
    language: Required[str | None]
    background: str
    documents: str
    past: Required[Past]
    signals: Signals
    decision: Decision
    unasked: Role | None
    """The role that would have been chosen had the person wished for none; None where none was wished for."""
    choice: Choice | None
    think: bool
    think_budget: int | None
    think_why: str
    base: list[BaseMessage]
    """What the second try is told in place of this turn's messages so far."""
    since: int
    """The first of this turn's messages that belongs to the try that counts."""
    again: Again | None
    escalation: str | None
    """Why this is the second try."""
    truth: str
    """That a machine answers, where the person asks for it."""
    kept: str
    """The first try's answer, where the second gave none."""
    questions: tuple[Question, ...]
    """The questions of a message that holds several; empty for one."""
    answers: Annotated[list[PartAnswer], operator.add]
    parts: tuple[Part, ...]
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
