"""How a piece of code that was run in a sandbox ended."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of one run."""

    ok: bool
    output: str
    """What the code printed, also before it failed."""
    error: str
    """What went wrong, such as ``ZeroDivisionError: division by zero (line 3)``; empty when nothing did."""
    value: str | None = None
    """The value of the last expression, as text; None where there is none."""
    unsupported: bool = False
    """The sandbox lacks what the code needs, so that its failure says nothing about the code."""
