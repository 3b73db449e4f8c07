"""The memory's port: what is kept of conversations, and the values that come back out of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from qwendesk.memory.facts.base import Facts
from qwendesk.memory.feedback.base import Asked, PastTurn, Rating
from qwendesk.memory.people.base import People
from qwendesk.memory.summaries.base import Summaries, Summary
from qwendesk.messages import Attachment, Inbound, Reply

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


class Memory(ABC):
    """Keeps conversations; each method is one unit of work and raises ``StoreError`` where it cannot be done."""

    people: People
    """Who writes, and the removal of everything about a person."""
    facts: Facts
    """What is known about people."""
    summaries: Summaries
    """What older turns said, in short."""

    @abstractmethod
    async def open(self) -> None:
        """Get ready; create or upgrade the storage where that is needed."""

    @abstractmethod
    async def aclose(self) -> None:
        """Free what is held; closing twice is fine."""

    @abstractmethod
    async def begin_turn(self, inbound: Inbound) -> str:
        """Store the person's message and a running turn in one transaction and return the turn's id.

        A message that has its number already (``Inbound.seq``) is stored under it once: begun again, it is the same
        turn.
        A turn of the same conversation that a dead process left running is marked as failed.

        Raises:
            InputError: the message has its number, but whoever wrote it was forgotten before the turn began.
        """

    @abstractmethod
    async def finish_turn(self, turn_id: str, reply: Reply) -> None:
        """Store the answer and close the turn in one transaction; a turn that is closed already stays as it is."""

    @abstractmethod
    async def fail_turn(
        self, turn_id: str, status: Literal["failed", "stopped"], error: str, partial: str = ""
    ) -> None:
        """Close the turn without an answer, keeping what there is of one; a closed turn stays as it is."""

    @abstractmethod
    async def history(
        self, conversation: str, *, channel: str = "python", limit: int = 200, with_attachments: bool = True
    ) -> list[StoredMessage]:
        """Return the newest ``limit`` messages, oldest first.

        Files come with the newest few messages that have any; without ``with_attachments`` with none.
        """

    @abstractmethod
    async def context(
        self, inbound: Inbound, *, messages: int = 200, facts: int = 50, with_attachments: bool = True
    ) -> StoredContext:
        """Return what a turn begins with: the newest messages after the summary, the summary, the newest facts."""

    @abstractmethod
    async def last_turn(self, conversation: str, *, channel: str = "python") -> StoredTurn | None:
        """Return the conversation's newest turn, whatever its status."""

    @abstractmethod
    async def conversations(self, *, channel: str | None = None, limit: int = 20) -> list[ConversationInfo]:
        """Return the conversations of one channel or of all, newest first."""

    @abstractmethod
    async def turns(
        self, *, since: datetime | None = None, before: str | None = None, limit: int = 500
    ) -> list[PastTurn]:
        """Return a page of turns that are over, newest first, of all conversations.

        Args:
            since: the earliest beginning.
            before: the id of the page before's last turn; None begins with the newest.
            limit: the most turns in the page.
        """

    @abstractmethod
    async def count_turns(self, *, since: datetime | None = None) -> int:
        """Return how many turns ``turns`` would give in all."""

    @abstractmethod
    async def asked(
        self, conversation: str, person: str, *, before: int, at: int | None = None, channel: str = "python"
    ) -> Asked | None:
        """Return the answered question at a place of a conversation; without ``at``, the newest that the person asked.

        Args:
            conversation: the conversation's key.
            person: who comes back to it, by the channel's own name.
            before: only turns before this place count.
            at: the turn's place.
            channel: where.
        """

    @abstractmethod
    async def rate(self, conversation: str, rating: Rating, *, channel: str = "python", turn: str | None = None) -> str:
        """Store what the person thought of a turn, None meaning the newest that is over, and return the turn's id.

        A newer rating takes the place of the older one.
        """
