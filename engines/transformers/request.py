"""What is asked of a loaded model, and what comes back, between the event loop and the model's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from qwendesk.models.card import Sampling


@dataclass(frozen=True, slots=True)
class Piece:
    """Something new of one answer."""

    text: str = ""
    finish: Literal["stop", "length"] | None = None
    """Set in the last piece."""
    tokens_out: int = 0
    cached: int = 0
    error: Exception | None = None
    """Why there will be no answer; nothing follows it."""


@dataclass(slots=True)
class Request:
    """One answer to be made."""

    tokens: list[int]
    """The prompt."""
    emit: Callable[[Piece], None]
    """Takes the pieces, in the model's thread."""
    sampling: Sampling = Sampling()
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int = 1024
    thinks: bool = False
    """The prompt ends inside the thinking."""
    think_budget: int | None = None
    json_schema: dict[str, Any] | None = None
    media: dict[str, Any] = field(default_factory=dict)
    """Tensors of pictures or recordings, as the model's processor made them."""
    keys: list[int] | None = None
    """What tells one prompt from another where media are in it; None: the tokens themselves."""
    cancelled: bool = False
    """Set by whoever no longer wants the answer; it ends at the next token."""
