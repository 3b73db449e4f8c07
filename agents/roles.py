"""The roles: prompt, tools, sampling and checks of each.

Every model may answer instead of calling a tool, and every role offers the tools of the embedding program. A model of
two billion parameters or more is shown all tools of its role: the prompt, and with it the prompt cache, stays the same
from turn to turn. A smaller one answers nearly everything with a call once it is shown a tool, so it is shown those of
the desk only if the message gives a reason (``tool_cues.py``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from qwendesk.agents.checks.answered_parts import check_parts
from qwendesk.agents.checks.arithmetic import check_arithmetic
from qwendesk.agents.checks.code import check_code
from qwendesk.agents.checks.conclusion import check_conclusion
from qwendesk.agents.checks.final_answer import check_final_answer
from qwendesk.agents.checks.operands import check_operands
from qwendesk.agents.checks.stated_output import check_stated_output
from qwendesk.agents.checks.syntax import check_syntax
from qwendesk.agents.state import TurnContext
from qwendesk.agents.tool_cues import called_for
from qwendesk.messages import Check, Inbound, Role
from qwendesk.models.card import ModelCard
from qwendesk.tools.knowledge import TOOL_NAME as SEARCH
from qwendesk.tools.sandbox import PythonSandbox

Checker = Callable[[str, PythonSandbox, Inbound], Awaitable[list[Check]]]
"""Checks the text of an answer; returns an empty list if there is nothing to check."""
_SMALL_BELOW = 2.0
"""Billions of parameters below which a model is small."""


@dataclass(frozen=True, slots=True)
class RoleDefinition:
    """Configuration of one role."""

    role: Role
    prompt: str
    """Name of the prompt template."""
    tools: tuple[str, ...] | None = None
    """Names of the desk's tools that are offered beside the embedding program's; None: all."""
    thinks: bool = False
    """Whether a model with thinking mode thinks for this role by default."""
    temperature: float | None = None
    """Sampling temperature without thinking; None: the model's default."""
    checkers: tuple[Checker, ...] = field(default=())


_OF_NUMBERS: tuple[Checker, ...] = (
    check_stated_output,
    check_arithmetic,
    check_final_answer,
    check_conclusion,
    check_parts,
)
AUDIO = RoleDefinition(role="audio", prompt="audio", tools=())
CODER = RoleDefinition(
    role="coder", prompt="coder", tools=(), temperature=0.2, checkers=(check_code, check_syntax, check_parts)
)
"""Without tools of the desk: small models that are offered one answer with a call instead of code."""
GENERAL = RoleDefinition(role="general", prompt="general", checkers=_OF_NUMBERS)
MATH = RoleDefinition(
    role="math",
    prompt="math",
    tools=("python", "algebra", "search_knowledge"),
    temperature=0.1,
    checkers=(*_OF_NUMBERS, check_operands),
)
THINKING = RoleDefinition(
    role="thinking",
    prompt="thinking",
    thinks=True,
    tools=("python", "search_knowledge"),
    checkers=(*_OF_NUMBERS, check_operands),
)
VISION = RoleDefinition(role="vision", prompt="vision", tools=())
ROLE_DEFINITIONS: dict[Role, RoleDefinition] = {
    definition.role: definition for definition in (GENERAL, CODER, MATH, VISION, THINKING, AUDIO)
}
"""All role definitions by role."""


def role_definition(role: Role) -> RoleDefinition:
    """Return the definition of a role; the general one if the role has none."""
    return ROLE_DEFINITIONS.get(role, GENERAL)


async def role_checks(role: Role, text: str, sandbox: PythonSandbox, inbound: Inbound) -> list[Check]:
    """Run the checks of a role on the text of an answer."""
    return [check for checker in role_definition(role).checkers for check in await checker(text, sandbox, inbound)]


def is_small(card: ModelCard) -> bool:
    """Return whether a model is below two billion parameters; one of unknown size is not."""
    return 0 < card.parameters < _SMALL_BELOW


def offered_tools(definition: RoleDefinition, card: ModelCard, text: str, context: TurnContext) -> list[dict[str, Any]]:
    """Return the schemas of the tools that a model may call: first the embedding program's, then the desk's.

    Args:
        definition: the role.
        card: the model; one that cannot call tools is offered none.
        text: the message.
        context: the turn's context.
    """
    if not card.tools:
        return []
    own = [name for name in context.toolbox.names if name in context.own_tools]
    others = [name for name in context.toolbox.names if name not in own]
    if definition.tools is not None:
        others = [name for name in others if name in definition.tools]
    if is_small(card):
        # each message is searched for before a small model is asked
        others = called_for([name for name in others if name != SEARCH], text)
    return context.toolbox.schemas([*own, *others])
