"""What a conversation knows of its last turns when a new message comes."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.messages import Attachment, Role


@dataclass(frozen=True, slots=True)
class Past:
    """The last turns, as far as they tell where the next message belongs."""

    role: Role | None = None
    """Who answered last; None in a new conversation."""
    questions: tuple[str, ...] = ()
    """The last messages of the person, oldest first."""
    answer: str = ""
    """The last answer."""
    pictures: tuple[Attachment, ...] = ()
    """The pictures that came with the last message that had any."""
    picture_age: int = 0
    """How many messages of the person ago that was; 1 is the last message, 0: there was none."""
