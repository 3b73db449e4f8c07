"""Values of stored conversations."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from qwendesk.messages import Attachment, Role


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said up to a turn."""

    text: str
    to_sequence: int
    """The last turn it covers."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message that is to be summarised or read for facts."""

    id: str
    sequence: int
    role: str
    text: str
    person: str | None
    """Id of the person who wrote it; None: the desk did."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A stretch of a conversation that some background work has not read yet."""

    conversation: str
    """The conversation's id, not its key."""
    lines: tuple[Line, ...]
    """Oldest first."""
    summary: Summary | None = None
    """What came before."""


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


Thumb = Literal[1, -1]

"""Up or down."""


@dataclass(frozen=True, slots=True)
class Rating:
    """What somebody thought of an answer."""

    thumb: Thumb
    role: Role | None = None
    """The specialist that would have been better."""
    model: str | None = None
    """The model that would have been better."""
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was answered, as the person who asked it comes back to it."""

    turn: str
    sequence: int
    """Its place in the conversation."""
    text: str
    attachments: tuple[Attachment, ...]
    mine: bool
    """Whether it was asked by the person who comes back to it."""
    newest: bool
    """Whether nothing was asked after it."""
    again: bool
    """Whether the answer is a second try already."""


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn as it went, for those who look at many of them."""

    id: str
    conversation: str
    channel: str
    question: str
    kinds: tuple[str, ...]
    """What came with the question, such as ``image``."""
    answer: str
    """What there is of an answer."""
    role: str | None
    """Who answered; None where nobody did."""
    receipt: dict[str, Any] | None
    """The receipt as plain JSON types; with ``wish``, ``role_without_override`` and ``language`` among it."""
    started_at: datetime
    ratings: tuple[Rating, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentScope:
    """Whom a document is for: everybody of a tenant, one person, one conversation, or one person in one of them."""

    tenant: str = "default"
    person: str | None = None
    """The person's id in the database."""
    conversation: str | None = None
    """The conversation's id in the database."""

    @property
    def key(self) -> str:
        """The scope inside its tenant as one text; empty: everybody."""
        return _key(self.person, self.conversation)

    @property
    def visible(self) -> tuple[str, ...]:
        """The keys of all documents that somebody with this scope may read."""
        people, talks = {None, self.person}, {None, self.conversation}
        return tuple(sorted(_key(person, talk) for person in people for talk in talks))


def _key(person: str | None, conversation: str | None) -> str:
    parts = (f"person={person}" if person else "", f"conversation={conversation}" if conversation else "")
    return " ".join(filter(None, parts))


EVERYBODY = DocumentScope()
"""Documents for everybody of the default tenant; as a reader, one who sees only those."""
