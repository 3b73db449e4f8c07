"""Values of the people who write."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

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
