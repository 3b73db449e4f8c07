"""The port for facts about people."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

Category = Literal["identity", "contact", "place", "work", "family", "preference", "interest", "health", "other"]
CATEGORIES: tuple[Category, ...] = get_args(Category)
"""What a fact is about; ``health`` is kept only where the settings allow it."""

EMPTY = "it is empty"
HEALTH = "it is about health, which is not kept here"
UNWANTED = "the person does not want it"


@dataclass(frozen=True, slots=True)
class NewFact:
    """A fact that somebody proposes to keep."""

    key: str
    """What it is about, such as ``name`` or ``home town``; the same key again replaces the value."""
    value: str
    category: Category = "other"
    confidence: float = 1.0
    """0 to 1; 1 where the person asked for it to be kept."""
    source_message: str | None = None
    """Id of the message it was learned from."""
    data: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact as it is kept."""

    id: str
    key: str
    value: str
    category: str
    confidence: float
    source_message: str | None
    valid_from: datetime
    valid_to: datetime | None = None
    """When it ceased to hold; None: it holds."""
    superseded_by: str | None = None
    """Id of the fact that took its place."""
    data: dict[str, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Learned:
    """What became of proposed facts."""

    kept: tuple[Fact, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    """Key and reason of each that was not kept; the value is not repeated."""


class Facts(ABC):
    """Keeps facts about people; ``namespace`` separates shelves, the empty one is the desk's own."""

    @abstractmethod
    async def known(self, person: str, *, namespace: str = "", limit: int = 200) -> list[Fact]:
        """Return the facts that hold now, newest first."""

    @abstractmethod
    async def past(self, person: str, key: str, *, namespace: str = "") -> list[Fact]:
        """Return every value of a key there has been, newest first."""

    @abstractmethod
    async def learn(self, person: str, facts: Sequence[NewFact], *, namespace: str = "") -> Learned:
        """Keep what the rules accept, in one transaction; a new value closes the old one.

        What comes from a message that has been deleted meanwhile, or about a person who wishes for none, is refused.
        """

    @abstractmethod
    async def close(self, person: str, key: str, *, namespace: str = "") -> bool:
        """Let a fact cease to hold; tell whether it did hold."""

    @abstractmethod
    async def mentioning(self, person: str, what: str, *, namespace: str | None = None) -> list[Fact]:
        """Return the facts whose key or value mentions ``what``, oldest first.

        Of a fact that ceased to hold, its older values are looked at too, unless the one that holds is among them.

        Args:
            person: the person's id.
            what: whole words, in any case, with accents or without; parts of words in scripts without spaces.
            namespace: the shelf; None: all shelves.
        """

    @abstractmethod
    async def delete(self, person: str, facts: Sequence[str]) -> list[Fact]:
        """Delete facts by id, one that holds with all its past; return those that were there."""

    @abstractmethod
    async def forget(self, person: str, what: str | None, *, namespace: str | None = None) -> int:
        """Delete the facts that mention ``what`` (None: all), as ``mentioning`` and ``delete`` do; return how many."""

    @abstractmethod
    async def show(self, person: str, facts: Sequence[str]) -> None:
        """Keep which facts the person was shown as a numbered list."""

    @abstractmethod
    async def shown(self, person: str) -> list[str]:
        """Return the ids of the list that the person was shown last; none where that is more than an hour ago."""

    @abstractmethod
    async def namespaces(self, person: str) -> list[str]:
        """Return the shelves that hold something now."""
