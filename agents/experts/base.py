"""What makes a specialist: its prompt, its tools, its sampling and how its answers are checked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from qwendesk.messages import Check, Inbound, Role
from qwendesk.tools.sandbox import PythonSandbox

Checker = Callable[[str, PythonSandbox, Inbound], Awaitable[list[Check]]]
"""Checks an answer's text to a message; returns an empty list if there is nothing to check."""


@dataclass(frozen=True, slots=True)
class Expert:
    """One specialist."""

    role: Role
    prompt: str
    """Name of its template."""
    tools: tuple[str, ...] | None = None
    """Names of the installed tools it is offered; None: all there are; empty: no tools whatever."""
    thinks: bool = False
    """Whether a model that can think does so for this role without being asked."""
    temperature: float | None = None
    """Sampling temperature where the model is not thinking; None: the model's own."""
    checkers: tuple[Checker, ...] = field(default=())
