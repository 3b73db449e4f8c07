"""The roles: prompt, tools, sampling and checks of each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.checks.code import check_code
from qwendesk.messages import Check, Inbound, Role
from qwendesk.tools.sandbox import PythonSandbox

Checker = Callable[[str, PythonSandbox, Inbound], Awaitable[list[Check]]]
"""Checks the text of an answer; returns an empty list if there is nothing to check."""


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """Configuration of one role."""

    role: Role
    prompt: str
    """Name of the prompt template."""
    tools: tuple[str, ...] | None = None
    """Names of the offered tools; None: all installed tools; empty: no tools."""
    thinks: bool = False
    """Whether a model with thinking mode thinks for this role by default."""
    temperature: float | None = None
    """Sampling temperature without thinking; None: the model's default."""
    checkers: tuple[Checker, ...] = field(default=())


AUDIO = RoleDefinition(role="audio", prompt="audio", tools=())


CODER = RoleDefinition(role="coder", prompt="coder", tools=(), temperature=0.2, checkers=(check_code,))
"""Without tools: small models that are offered one answer with a call instead of code."""


GENERAL = RoleDefinition(role="general", prompt="general", checkers=(check_arithmetic,))


MATH = RoleDefinition(
    role="math", prompt="math", tools=("python", "algebra"), temperature=0.1, checkers=(check_arithmetic,)
)


THINKING = RoleDefinition(
    role="thinking", prompt="thinking", thinks=True, tools=("python",), checkers=(check_arithmetic,)
)


VISION = RoleDefinition(role="vision", prompt="vision", tools=())


ROLE_DEFINITIONS: dict[Role, RoleDefinition] = {
    definition.role: definition for definition in (GENERAL, CODER, MATH, VISION, THINKING, AUDIO)
}
"""All role definitions by role."""


def role_definition(role: Role) -> RoleDefinition:
    """Return the definition of a role; the general one if the role has none."""
    return ROLE_DEFINITIONS.get(role, GENERAL)
