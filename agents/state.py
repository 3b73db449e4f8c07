"""The state of one turn's graph."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Annotated, NotRequired, Required, TypedDict

from langchain_core.messages import BaseMessage

from qwendesk.engines.selected_model import SelectedModel
from qwendesk.errors import QwendeskError
from qwendesk.messages import Check, Inbound, Role, SubAnswer, ToolUse
from qwendesk.routing.base import ConversationContext, Decision, Signals
from qwendesk.routing.policy.subquestions import SubQuestion


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens and times of one model call; the calls of a turn add up."""

    tokens_in: int = 0
    tokens_out: int = 0
    generating: float = 0.0
    """Seconds spent on ``tokens_out``."""
    first_at: float | None = None
    """``time.perf_counter()`` at the first token."""

    def __add__(self, other: TokenUsage) -> TokenUsage:
        """Return the sum, with the first token's time of the first call that has one."""
        first = self.first_at if self.first_at is not None else other.first_at
        return TokenUsage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.generating + other.generating,
            first,
        )


@dataclass(frozen=True, slots=True)
class RetryStep:
    """The model of a second try, and whether it thinks."""

    choice: SelectedModel
    think: bool


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """The second try that an answer needs."""

    reason: str
    step: RetryStep
    with_feedback: bool
    """Whether the prompt names the fault; after an empty answer or a refusal the question is asked anew."""
    first_answer: str
    """The answer that is kept if the second try gives none."""
    first_choice: SelectedModel
    """The model of the first answer."""
    first_think: bool
    """Whether that model thought."""


@dataclass(frozen=True, slots=True)
class SubquestionResult:
    """The outcome of one question of several."""

    index: int
    text: str
    receipt: SubAnswer
    state: TurnState | None = None
    """The final state of its graph; None if the question failed."""
    error: QwendeskError | None = None


class TurnInput(TypedDict):
    """The input of a turn."""

    background: NotRequired[str]
    """Summary and facts about the person, for the system prompt."""

    documents: NotRequired[str]
    """Text about the documents attached to the message, for the prompt."""
    inbound: Inbound
    history: list[BaseMessage]
    """Older turns of the conversation, oldest first."""
    language: str | None
    """The conversation's language so far."""
    conversation_context: ConversationContext
    """The conversation's last turns, for the router."""


class TurnState(TypedDict, total=False):
    """The state that nodes read and update."""

    inbound: Required[Inbound]
    history: Required[list[BaseMessage]]
    language: Required[str | None]
    background: str
    documents: str
    conversation_context: Required[ConversationContext]
    signals: Signals
    decision: Decision
    role_without_override: Role | None
    """The role that the router would choose without the person's override; None without an override."""
    choice: SelectedModel | None
    think: bool
    think_budget: int | None
    thinking_reason: str
    retry_request: RetryRequest | None
    retry_prompt: list[BaseMessage]
    """Messages that replace the earlier ones in the prompt of the second try."""
    try_start: int
    """Index of the first of this turn's messages that belongs to the current try."""
    escalation: str | None
    """Reason for the second try; None in the first."""
    kept_answer: str
    """The first try's answer, if the second gave none."""
    machine_notice: str
    """States that a machine answers, if the person asks for that."""
    subquestions: tuple[SubQuestion, ...]
    """The questions of a message that holds several; empty for one."""
    subquestion_results: Annotated[list[SubquestionResult], operator.add]
    sub_answers: tuple[SubAnswer, ...]
    messages: Annotated[list[BaseMessage], operator.add]
    """This turn's messages: the question, tool calls, their results, the answer."""
    tool_uses: Annotated[list[ToolUse], operator.add]
    tool_rounds: int
    """Number of tool rounds so far."""
    tools_stopped: str | None
    """Reason why no more tools may be called."""
    thinking: Annotated[str, operator.add]
    usage: Annotated[TokenUsage, operator.add]
    checks: list[Check]
    notes: Annotated[list[str], operator.add]
    text: str
    """The finished answer."""
