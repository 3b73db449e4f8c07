"""Values of summaries of older turns."""

from __future__ import annotations

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
