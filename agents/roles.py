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
class RoleDefinition:
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


AUDIO = RoleDefinition(role="audio", prompt="audio", tools=())


CODER = RoleDefinition(role="coder", prompt="coder", tools=(), temperature=0.2, checkers=(check_code,))

"""No tools: its work is the code itself, and small models answer with a tool call in place of code when offered one."""


GENERAL = RoleDefinition(role="general", prompt="general", checkers=(check_arithmetic,))


MATH = RoleDefinition(
    role="math", prompt="math", tools=("python", "algebra"), temperature=0.1, checkers=(check_arithmetic,)
)


THINKING = RoleDefinition(
    role="thinking", prompt="thinking", thinks=True, tools=("python",), checkers=(check_arithmetic,)
)


VISION = RoleDefinition(role="vision", prompt="vision", tools=())


ROLE_DEFINITIONS: dict[Role, RoleDefinition] = {
    expert.role: expert for expert in (GENERAL, CODER, MATH, VISION, THINKING, AUDIO)
}

"""Every specialist there is, by role."""


def role_definition(role: Role) -> RoleDefinition:
    """Return the role's specialist; a role without one of its own is served by the generalist."""
    return ROLE_DEFINITIONS.get(role, GENERAL)
