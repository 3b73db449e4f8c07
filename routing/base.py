"""The router port, and the values it works with: signals, conversation context, decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from qwendesk.messages import Attachment, Role

TextRole = Literal["general", "coder", "math", "thinking"]
"""Roles that a text alone can lead to; pictures and recordings are routed by their kind."""
DecidedBy = Literal["override", "attachment", "rule", "conversation", "classifier", "abstention"]
"""The ground of a decision, highest precedence first."""
TEXT_ROLES: tuple[TextRole, ...] = ("general", "coder", "math", "thinking")


@dataclass(frozen=True, slots=True)
class ConversationContext:
    """The last turns of a conversation, as far as routing uses them."""

    role: Role | None = None
    """Role of the last answer; None in a new conversation."""
    questions: tuple[str, ...] = ()
    """Last messages of the person, oldest first."""
    answer: str = ""
    """The last answer."""
    pictures: tuple[Attachment, ...] = ()
    """Pictures of the last message that had any."""
    picture_age: int = 0
    """Age of the pictures in messages of the person: 1 is the last message, 0: no pictures."""


@dataclass(frozen=True, slots=True)
class Signals:
    """Features of a message that need no model."""

    text: str
    language: str | None = None
    """ISO 639-1 code; None when undecided."""
    images: int = 0
    audio: int = 0
    role: Role | None = None
    """The role that the person asked for."""
    channel: str = "python"
    conversation_context: ConversationContext = ConversationContext()
    """The last turns of the conversation."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The role of a message, and the reasons."""

    role: Role
    confidence: float
    """0 to 1."""
    runner_up: Role | None = None
    signals: tuple[str, ...] = ()
    """The reasons, strongest first, in words."""
    probabilities: Mapping[TextRole, float] = field(default_factory=dict)
    """Calibrated probability of each text role; empty without a classifier."""
    needs_thinking: float = 0.0
    """Probability that the message needs thinking, 0 to 1."""
    decided_by: DecidedBy = "classifier"
    abstained: bool = False
    """Whether no role was likely enough, so that the general role answers."""
    model: str | None = None
    """The model that a rule of the policy names."""
    think: bool | None = None
    """Whether to think, by a rule of the policy."""
    recalls_picture: bool = False
    """Whether the message refers to the conversation's last picture."""
    lacks_picture: bool = False
    """Whether the message refers to a picture that was not sent."""


class Router(Protocol):
    """Chooses a role by the words of a message."""

    def route(self, signals: Signals) -> Decision:
        """Return the role for a text; must not raise."""
        ...
