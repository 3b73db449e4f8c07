"""Values that the repositories return: messages, turns, summaries, ratings, facts, people, document scopes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from qwendesk.messages import Attachment, Role

Category = Literal["identity", "contact", "place", "work", "family", "preference", "interest", "health", "other"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
"""Categories of facts; ``health`` is stored only where the settings allow it."""
EMPTY = "it is empty"
HEALTH = "it is about health, which is not kept here"
UNWANTED = "the person does not want it"
Linked = Literal["joined", "half", "waiting", "same", "unknown"]
"""Result of entering a code: both sides are one person now; the other side has yet to enter it; the first side has
entered it and waits for the other; both sides were one person already; no such code is valid."""
TurnStatus = Literal["running", "done", "failed", "stopped"]
Thumb = Literal[1, -1]
"""1: up; -1: down."""


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact to be stored."""

    key: str
    """Subject of the fact, such as ``name`` or ``home town``; a new value of a key replaces the old one."""
    value: str
    category: Category = "other"
    confidence: float = 1.0
    """0 to 1; 1 where the person asked for it to be stored."""
    source_message: str | None = None
    """Id of the message it comes from."""
    data: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Fact:
    """A stored fact."""

    id: str
    key: str
    value: str
    category: str
    confidence: float
    source_message: str | None
    valid_from: datetime
    valid_to: datetime | None = None
    """When it stopped being valid; None: it is valid."""
    superseded_by: str | None = None
    """Id of the fact that replaced it."""
    data: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Learned:
    """Facts that were stored and refused."""

    kept: tuple[Fact, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    """Key and reason of each refused fact, without its value."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person's name on a channel."""

    channel: str
    name: str


@dataclass(frozen=True, slots=True)
class PersonRecord:
    """A person and their names on channels."""

    id: str
    names: tuple[Identity, ...]
    remembers: bool
    """Whether facts about the person may be stored and used."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class IssuedCode:
    """A code that links two channels of a person."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Erased:
    """Number of deleted rows."""

    counts: dict[str, int]
    """Rows by table."""


@dataclass(frozen=True, slots=True)
class Summary:
    """A summary of a conversation up to a turn."""

    text: str
    to_sequence: int
    """The last turn it covers."""


@dataclass(frozen=True, slots=True)
class TurnLine:
    """A message to be summarised or searched for facts."""

    id: str
    sequence: int
    role: str
    text: str
    person: str | None
    """Id of the person who wrote it; None: the desk."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Messages of a conversation that background work has not processed yet."""

    conversation: str
    """The conversation's id, not its key."""
    lines: tuple[TurnLine, ...]
    """Oldest first."""
    summary: Summary | None = None
    """Summary of earlier messages."""


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """A message from a person or from the desk."""

    id: str
    role: Literal["user", "assistant", "operator"]
    text: str
    created_at: datetime
    attachments: tuple[Attachment, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A question with its answer, status and receipt."""

    conversation: str
    question: str
    answer: str | None
    """None: no answer is stored; the partial answer of a stopped turn."""
    status: TurnStatus
    receipt: dict[str, Any] | None
    """The receipt as plain JSON types; None until the turn is done."""
    started_at: datetime
    thinking: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class StoredPendingTurn:
    """A turn that waits for the approval of a risky call."""

    id: str
    turn: str
    """Id of the turn."""
    sequence: int
    calls: list[dict[str, Any]]
    """The calls that wait, as plain JSON types."""
    state: bytes = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class ConversationInfo:
    """An entry in the list of conversations."""

    key: str
    title: str
    """The first words of the first message."""
    messages: int
    updated_at: datetime
    """Time of the newest question."""
    channel: str = "python"
    person: str = ""
    """Name on the channel of the person who wrote last; empty if unknown."""


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A fact about the person for the model's prompt."""

    key: str
    value: str


@dataclass(frozen=True, slots=True)
class StoredContext:
    """The context of a turn."""

    messages: list[StoredMessage]
    """Messages after the summary, oldest first."""
    summary: Summary | None
    facts: tuple[KnownFact, ...]
    """Oldest first, so that a new fact keeps the prompt's prefix; none where the person allows none to be used."""
    answer_language: str | None = None
    """ISO 639-1 code of the language that was wished for all answers of the conversation."""


@dataclass(frozen=True, slots=True)
class Rating:
    """A person's rating of an answer."""

    thumb: Thumb
    role: Role | None = None
    """The role that would have been better."""
    model: str | None = None
    """The model that would have been better."""
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """An answered question that a person refers to."""

    turn: str
    sequence: int
    """The turn's sequence in the conversation."""
    text: str
    attachments: tuple[Attachment, ...]
    is_own: bool
    """Whether the same person asked it."""
    newest: bool
    """Whether it is the newest question."""
    retried: bool
    """Whether the answer is a second attempt."""


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A closed turn with its ratings, for evaluation."""

    id: str
    conversation: str
    channel: str
    question: str
    kinds: tuple[str, ...]
    """Kinds of the question's attachments, such as ``image``."""
    answer: str
    """The answer, possibly partial or empty."""
    role: str | None
    """Role that answered; None without an answer."""
    receipt: dict[str, Any] | None
    """The receipt as plain JSON types; with ``requested_role``, ``role_without_override`` and
    ``language`` among it."""
    started_at: datetime
    ratings: tuple[Rating, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentScope:
    """Readers of a document: everybody of a tenant, a person, a conversation, or a person in a conversation."""

    tenant: str = "default"
    person: str | None = None
    """The person's id in the database."""
    conversation: str | None = None
    """The conversation's id in the database."""

    @property
    def key(self) -> str:
        """The scope within its tenant as text; empty: everybody."""
        return _key(self.person, self.conversation)

    @property
    def visible(self) -> tuple[str, ...]:
        """Keys of all documents that a reader with this scope may read."""
        people, conversations = {None, self.person}, {None, self.conversation}
        return tuple(sorted(_key(person, conversation) for person in people for conversation in conversations))


def _key(person: str | None, conversation: str | None) -> str:
    parts = (f"person={person}" if person else "", f"conversation={conversation}" if conversation else "")
    return " ".join(filter(None, parts))


EVERYBODY = DocumentScope()
"""Documents for everybody of the default tenant; as a reader, access to those only."""
