"""The roles: prompt, tools, sampling and checks of each.

A model of two billion parameters or more chooses freely among all tools of its role: the prompt, and with it the
prompt cache, stays the same from turn to turn. A smaller model answers nearly everything with a call once it is shown
a tool. It selects one tool, or none, under a grammar, and only if the message gives a reason
(``nodes/select_tool.py``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.checks.code import check_code
from qwendesk.agents.checks.syntax import check_syntax
from qwendesk.agents.state import TurnContext
from qwendesk.messages import Check, Inbound, Role
from qwendesk.models.card import ModelCard
from qwendesk.tools.sandbox import PythonSandbox

Checker = Callable[[str, PythonSandbox, Inbound], Awaitable[list[Check]]]
"""Checks the text of an answer; returns an empty list if there is nothing to check."""
_FREE_CHOICE_PARAMETERS = 2.0
"""Billions of parameters from which a model chooses its tools freely."""


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
CODER = RoleDefinition(role="coder", prompt="coder", tools=(), temperature=0.2, checkers=(check_code, check_syntax))
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


def selects_tool(card: ModelCard) -> bool:
    """Return whether the model selects its tools under a grammar; a model of unknown size chooses freely."""
    return card.tools and 0 < card.parameters < _FREE_CHOICE_PARAMETERS


def offered_tools(definition: RoleDefinition, context: TurnContext) -> list[dict[str, Any]]:
    """Return the schemas of the tools that the role may call: its own and the embedding program's."""
    if definition.tools == ():
        return []
    wanted = {*context.own_tools, *(context.toolbox.names if definition.tools is None else definition.tools)}
    return context.toolbox.schemas(name for name in context.toolbox.names if name in wanted)
