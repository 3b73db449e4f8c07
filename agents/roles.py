"""The specialists, one module each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.checks.code import check_code
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


AUDIO = Expert(role="audio", prompt="audio", tools=())


CODER = Expert(role="coder", prompt="coder", tools=(), temperature=0.2, checkers=(check_code,))

"""No tools: its work is the code itself, and small models answer with a tool call in place of code when offered one."""


GENERAL = Expert(role="general", prompt="general", checkers=(check_arithmetic,))


MATH = Expert(role="math", prompt="math", tools=("python", "algebra"), temperature=0.1, checkers=(check_arithmetic,))


THINKING = Expert(role="thinking", prompt="thinking", thinks=True, tools=("python",), checkers=(check_arithmetic,))


VISION = Expert(role="vision", prompt="vision", tools=())


EXPERTS: dict[Role, Expert] = {expert.role: expert for expert in (GENERAL, CODER, MATH, VISION, THINKING, AUDIO)}

"""Every specialist there is, by role."""


def expert_for(role: Role) -> Expert:
    """Return the role's specialist; a role without one of its own is served by the generalist."""
    return EXPERTS.get(role, GENERAL)
