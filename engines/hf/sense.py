"""What lets a model see or hear: media of a message become the tensors and tokens that it is shown."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Shown:
    """The media of one prompt, ready for the model."""

    media: dict[str, Any]
    """Tensors by the names of the model's own arguments."""
    counts: list[int]
    """How many tokens stand for each medium."""
    marks: list[int]
    """A negative number for each medium, which tells it from others where only tokens are compared."""


class Sense(ABC):
    """Prepares the pictures or the recordings for one model; its methods block."""

    kind: str
    """Type of the parts of a message that it takes, in OpenAI's form."""
    place: dict[str, str]
    """What stands for one medium in what the chat template is given."""

    def __init__(self, token: int) -> None:
        self.token = token
        """The token in whose place a medium stands."""

    @property
    def template(self) -> str | None:
        """A chat template that comes before the tokenizer's own; None: that one will do."""
        return None

    @abstractmethod
    def read(self, part: dict[str, Any]) -> list[Any]:
        """Return the media of a message's part.

        Raises:
            EngineError: it cannot be read, or is more than the model can take.
        """

    @abstractmethod
    def show(self, media: list[Any]) -> Shown:
        """Return what the model is shown."""


def mark_of(data: bytes) -> int:
    """Return a medium's own negative number."""
    return -1 - int.from_bytes(hashlib.sha256(data).digest()[:6])
