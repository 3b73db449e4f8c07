"""Whether a model thinks before it answers, and for how long at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qwendesk.agents.context import TurnContext
from qwendesk.agents.roles import role_definition
from qwendesk.models.card import ModelCard
from qwendesk.routing.base import Decision
from qwendesk.routing.policy.policy_file import RoutingPolicy

_MAX_THINKING_SHARE = 0.75
"""Share of the longest answer that may be thinking, so that there is room for the answer."""


@dataclass(frozen=True, slots=True)
class ThinkingPlan:
    """Whether the model thinks, and for how many tokens at most."""

    think: bool = False
    budget: int | None = None
    """Most tokens of thinking; None where the model does not think."""
    notes: tuple[str, ...] = ()
    reason: str = ""
    """Why it thinks or does not, in words."""


def plan_thinking(
    decision: Decision,
    card: ModelCard | None,
    wish: bool | None,
    setting: Literal["auto", "on", "off"],
    policy: RoutingPolicy,
    most: int,
) -> ThinkingPlan:
    """Return the plan for a message: by the person's wish, a rule, the setting, then how hard it is.

    Args:
        decision: where the message goes.
        card: the model that answers.
        wish: what the person asked for.
        setting: the desk's setting.
        policy: from which difficulty on, and how many tokens.
        most: the most tokens of thinking.
    """
    ability = card.thinking if card else "none"
    if ability == "none":
        return ThinkingPlan(
            notes=("this model cannot think before it answers",) if wish else (), reason="its model cannot"
        )
    if ability == "always":
        notes = ("this model always thinks before it answers",) if wish is False else ()
        return ThinkingPlan(True, _budget(decision, policy, most), notes, "its model always does")
    asked, why = _should_think(decision, wish, setting, policy)
    # a wish for thinking or for a role counts as the hardest message
    full = wish is True or decision.decided_by == "override"
    return (
        ThinkingPlan(True, _budget(decision, policy, most, full=full), reason=why)
        if asked
        else ThinkingPlan(reason=why)
    )


def max_thinking_tokens(context: TurnContext) -> int:
    """Return the most tokens of thinking: of the policy file, else of the settings, else most of the longest answer."""
    longest = int(context.pool.settings.max_output_tokens * _MAX_THINKING_SHARE)
    return max(1, min(context.policy.thinking.budget or context.think_budget or longest, longest))


def _should_think(decision: Decision, wish: bool | None, setting: str, policy: RoutingPolicy) -> tuple[bool, str]:
    """Return whether to think, and who says so."""
    if wish is not None:
        return wish, "you asked for it" if wish else "you asked for an answer without"
    if decision.think is not None:
        return decision.think, "your rule says so"
    if setting != "auto":
        return setting == "on", f"the setting thinking is {setting}"
    if decision.abstained and policy.abstain.think:
        return True, "too little speaks for one specialist"
    if role_definition(decision.role).thinks:
        return True, "this specialist always does"
    return decision.needs_thinking >= policy.thinking.at, f"{decision.needs_thinking:.0%} likely to need it"


def _budget(decision: Decision, policy: RoutingPolicy, most: int, *, full: bool = False) -> int:
    """Return half of the most tokens for a message that is just hard enough, up to all of them for the hardest."""
    at = policy.thinking.at
    if full or at >= 1:
        return most
    share = min(max((decision.needs_thinking - at) / (1 - at), 0.0), 1.0)
    return max(1, round(most * (0.5 + 0.5 * share)))
