"""Values of past turns and of what people thought of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from qwendesk.messages import Attachment, Role

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
    seq: int
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
    """The receipt as plain JSON types; with ``wish``, ``unasked`` and ``language`` among it."""
    started_at: datetime
    ratings: tuple[Rating, ...] = ()
