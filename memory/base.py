"""Values of stored conversations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from qwendesk.memory.summaries.base import Summary
from qwendesk.messages import Attachment

TurnStatus = Literal["running", "done", "failed", "stopped"]


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a conversation, from the person or from the desk."""

    id: str
    role: Literal["user", "assistant"]
    text: str
    created_at: datetime
    attachments: tuple[Attachment, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A question, what became of it, and why the answer is as it is."""

    conversation: str
    question: str
    answer: str | None
    """None while no answer is stored; what there was of it where the turn was stopped."""
    status: TurnStatus
    receipt: dict[str, Any] | None
    """The receipt as plain JSON types; None until the turn is done."""
    started_at: datetime
    thinking: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """A conversation in a list."""

    key: str
    title: str
    """The first words of the first message."""
    messages: int
    updated_at: datetime
    """When the newest question came."""
    channel: str = "python"
    person: str = ""
    """Who wrote last, by the channel's own name; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A fact about the person who writes, as a model is told it."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class StoredContext:
    """What a turn begins with."""

    messages: list[StoredMessage]
    """Those that the summary does not cover, oldest first."""
    summary: Summary | None
    facts: tuple[KnownFact, ...]
    """Oldest first, so that a new one changes nothing before it; none where the person wants none to be used."""
