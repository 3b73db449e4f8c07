"""Requests and pieces of answers, passed between the event loop and a model's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from qwendesk.models.card import Sampling


@dataclass(frozen=True, slots=True)
class TokenPiece:
    """New text of one answer, or its end."""

    text: str = ""
    finish: Literal["stop", "length"] | None = None
    """The reason of the end, in the last piece."""
    tokens_out: int = 0
    cached: int = 0
    error: Exception | None = None
    """The error that ended the answer; no piece follows."""


@dataclass(slots=True)
class GenerationRequest:
    """A request for one answer."""

    tokens: list[int]
    """The prompt."""
    emit: Callable[[TokenPiece], None]
    """Called with each piece in the model's thread."""
    sampling: Sampling = Sampling()
    seed: int | None = None
    stop: tuple[str, ...] = ()
    max_tokens: int = 1024
    in_thinking: bool = False
    """Whether the prompt ends inside the thinking."""
    think_budget: int | None = None
    json_schema: dict[str, Any] | None = None
    media: dict[str, Any] = field(default_factory=dict)
    """Tensors of images or recordings by the names of the model's arguments."""
    keys: list[int] | None = None
    """Identify a prompt with media in the prefix cache; None: the tokens do."""
    cancelled: bool = False
    """Set by the consumer to end the answer at the next token."""
