"""The port for the people who write."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Linked = Literal["joined", "half", "waiting", "same", "unknown"]
"""What entering a code did: both sides are one person now; this side is done and the other has to enter it; the
first side has entered it and waits; both sides are one person already; there is no such code, or no more."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A person's name on one channel."""

    channel: str
    name: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who writes."""

    id: str
    names: tuple[Identity, ...]
    remembers: bool
    """Whether facts about the person may be learned and used."""
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Code:
    """A code by which a person joins two channels."""

    code: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Erased:
    """How much was removed."""

    counts: dict[str, int]
    """Rows by table."""


class People(ABC):
    """Keeps who writes on which channel, and takes everything about a person out again."""

    @abstractmethod
    async def find(self, name: str, *, channel: str = "python") -> Person | None:
        """Return the person of that name on a channel."""

    @abstractmethod
    async def get(self, person: str) -> Person | None:
        """Return a person by id."""

    @abstractmethod
    async def meet(self, name: str, *, channel: str = "python") -> Person:
        """Return the person of that name on a channel, a new one where nobody has it."""

    @abstractmethod
    async def named(self, text: str) -> list[Person]:
        """Return the people that a text may mean: an id, ``channel:name``, or a name on any channel."""

    @abstractmethod
    async def listed(self, *, limit: int = 100) -> list[Person]:
        """Return people, newest first."""

    @abstractmethod
    async def set_remembers(self, person: str, wish: bool) -> None:
        """Keep whether facts about the person may be learned and used."""

    @abstractmethod
    async def export(self, person: str) -> dict[str, Any]:
        """Return everything that is kept about a person as plain JSON types, files in base64."""

    @abstractmethod
    async def forget(self, person: str, *, answering: str | None = None) -> Erased:
        """Remove a person and everything that came from them, in one transaction; an audit line without content stays.

        Of a conversation with others, the person's messages, the answers to them and all summaries go. What waits to be
        answered goes unanswered.

        Args:
            person: the person's id.
            answering: the accepted message that asks for it; it stays until its answer is delivered.
        """

    @abstractmethod
    async def new_code(self, name: str, *, channel: str = "python") -> Code:
        """Make a code for a person on this channel; the one before is void."""

    @abstractmethod
    async def enter_code(self, code: str, name: str, *, channel: str = "python") -> Linked:
        """Take a code that was entered on this channel; once both sides have, they are one person."""
