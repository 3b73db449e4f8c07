"""Values of facts about people."""

from __future__ import annotations

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
