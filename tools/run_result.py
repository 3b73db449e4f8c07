"""How a piece of code that was run in a sandbox ended: flat texts of bounded length, never a value of the code."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of one run."""

    ok: bool
    output: str
    """What the code printed, also before it failed; at most the first ``value_text.MOST_CHARS`` characters."""
    error: str
    """What went wrong, such as ``ZeroDivisionError: division by zero (line 3)``; empty when nothing did."""
    value: str | None = None
    """The value of the last expression, as text; None where there is none."""
    unsupported: bool = False
    """The sandbox lacks what the code needs, or ran nothing, so that its failure says nothing about the code."""
    printed: int = 0
    """How many characters the code printed, without line ends after them."""
    defines: str = ""
    """The names of what the code defines, where it does nothing else."""


def not_run(why: str) -> RunResult:
    """Return the outcome of code that was not run, or not to its end, for a reason that is not the code's."""
    return RunResult(False, "", why, unsupported=True)
