"""What a conversation knows of its last turns when a new message comes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from qwendesk.messages import Attachment, Role


@dataclass(frozen=True, slots=True)
class ConversationContext:
    """The last turns, as far as they tell where the next message belongs."""

    role: Role | None = None
    """Who answered last; None in a new conversation."""
    questions: tuple[str, ...] = ()
    """The last messages of the person, oldest first."""
    answer: str = ""
    """The last answer."""
    pictures: tuple[Attachment, ...] = ()
    """The pictures that came with the last message that had any."""
    picture_age: int = 0
    """How many messages of the person ago that was; 1 is the last message, 0: there was none."""


TextRole = Literal["general", "coder", "math", "thinking"]

"""What words alone can ask for; pictures and sound decide for themselves."""


DecidedBy = Literal["override", "attachment", "rule", "conversation", "classifier", "abstention"]

"""What a decision was made by, the strongest claim first."""


TEXT_ROLES: tuple[TextRole, ...] = ("general", "coder", "math", "thinking")


@dataclass(frozen=True, slots=True)
class Signals:
    """What can be seen of a message without understanding it."""

    text: str
    language: str | None = None
    """ISO 639-1 code; None when undecided."""
    images: int = 0
    audio: int = 0
    role: Role | None = None
    """The specialist the person asked for."""
    channel: str = "python"
    conversation_context: ConversationContext = ConversationContext()
    """What the conversation knows of its last turns."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The role a message goes to and why."""

    role: Role
    confidence: float
    """0 to 1."""
    runner_up: Role | None = None
    signals: tuple[str, ...] = ()
    """The reasons, strongest first, in words."""
    probabilities: Mapping[TextRole, float] = field(default_factory=dict)
    """Each text role's share, calibrated; empty where no classifier decided."""
    needs_thinking: float = 0.0
    """How likely it needs thinking, whatever its domain: 0 to 1."""
    decided_by: DecidedBy = "classifier"
    abstained: bool = False
    """Whether too little spoke for any role, so that it is only the generalist's for want of a better one."""
    model: str | None = None
    """The model that a rule of the policy names."""
    think: bool | None = None
    """Whether to think, by a rule of the policy."""
    recalls_picture: bool = False
    """Whether the conversation's last picture belongs to the message."""
    lacks_picture: bool = False
    """Whether the message speaks of a picture that was never sent."""


class Router(Protocol):
    """Chooses a role by the words of a message."""

    def route(self, signals: Signals) -> Decision:
        """Return the role for a text; never raises, whatever the text is."""
        ...
