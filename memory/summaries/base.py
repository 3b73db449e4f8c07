"""The port for summaries of older turns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Summary:
    """What was said up to a turn."""

    text: str
    to_seq: int
    """The last turn it covers."""


@dataclass(frozen=True, slots=True)
class Line:
    """One message that is to be summarised or read for facts."""

    id: str
    seq: int
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


class Summaries(ABC):
    """Keeps summaries; the messages they cover are kept as well."""

    @abstractmethod
    async def pending(self, conversation: str, *, channel: str = "python", limit: int = 400) -> Unread | None:
        """Return what is not summarised yet, its oldest ``limit`` messages; None for an unknown conversation."""

    @abstractmethod
    async def add(self, unread: Unread, to_seq: int, text: str, model: str) -> bool:
        """Store a summary that covers ``unread`` up to ``to_seq``.

        Nothing is stored, and False returned, where one of its messages has been deleted meanwhile or another
        summary goes as far.
        """

    @abstractmethod
    async def latest(self, conversation: str, *, channel: str = "python") -> Summary | None:
        """Return the newest summary."""

    @abstractmethod
    async def unlearned(self, conversation: str, *, channel: str = "python", limit: int = 20) -> Unread | None:
        """Return people's newest messages that have not been read for facts; None for an unknown conversation."""

    @abstractmethod
    async def mark_learned(self, unread: Unread) -> None:
        """Remember that these messages have been read for facts."""
