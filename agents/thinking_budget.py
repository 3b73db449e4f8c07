"""Decide whether a model thinks before it answers, and with which token budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from qwendesk.agents.context import TurnContext
from qwendesk.agents.roles import role_definition
from qwendesk.models.card import ModelCard
from qwendesk.routing.base import Decision
from qwendesk.routing.policy.policy_file import RoutingPolicy

_MAX_THINKING_SHARE = 0.75
"""Maximum share of the output tokens for thinking; the rest is left for the answer."""


@dataclass(frozen=True, slots=True)
class ThinkingPlan:
    """Whether the model thinks, and its token budget."""

    think: bool = False
    budget: int | None = None
    """Maximum tokens of thinking; None if the model does not think."""
    notes: tuple[str, ...] = ()
    reason: str = ""
    """Reason for thinking or not, for the receipt."""


def plan_thinking(
    decision: Decision,
    card: ModelCard | None,
    wish: bool | None,
    setting: Literal["auto", "on", "off"],
    policy: RoutingPolicy,
    most: int,
) -> ThinkingPlan:
    """Return the plan for a message by the person's override, a rule, the setting, then its difficulty.

    Args:
        decision: the routing decision.
        card: the model that answers.
        wish: the person's override.
        setting: the desk's setting.
        policy: threshold and budget.
        most: maximum tokens of thinking.
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
    # an override of thinking or role counts as the hardest message
    full = wish is True or decision.decided_by == "override"
    return (
        ThinkingPlan(True, _budget(decision, policy, most, full=full), reason=why)
        if asked
        else ThinkingPlan(reason=why)
    )


def max_thinking_tokens(context: TurnContext) -> int:
    """Return the maximum tokens of thinking: of the policy, else of the settings, else a share of the output limit."""
    longest = int(context.pool.settings.max_output_tokens * _MAX_THINKING_SHARE)
    return max(1, min(context.policy.thinking.budget or context.think_budget or longest, longest))


def _should_think(decision: Decision, wish: bool | None, setting: str, policy: RoutingPolicy) -> tuple[bool, str]:
    """Return whether to think, with the reason."""
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
    """Return the budget: half of the maximum at the threshold of difficulty, rising to the maximum."""
    at = policy.thinking.at
    if full or at >= 1:
        return most
    share = min(max((decision.needs_thinking - at) / (1 - at), 0.0), 1.0)
    return max(1, round(most * (0.5 + 0.5 * share)))
