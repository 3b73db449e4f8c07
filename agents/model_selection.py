"""Select the model that answers, and whether it thinks before it answers.

The best available model is selected, or a loaded one that is nearly as good; for a second try a larger one, or the
same one with thinking.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Literal

from qwendesk.agents.roles import role_definition
from qwendesk.agents.state import RetryStep, TurnContext
from qwendesk.engines.base import Progress
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.messages import Inbound, Role
from qwendesk.models.card import ModelCard, SelectedModel, best_for_role
from qwendesk.routing.base import Decision
from qwendesk.routing.policy.policy_file import ModelPolicy, RoutingPolicy
from qwendesk.routing.signals.language import english_name

_LANGUAGES_BY_COVERAGE = (
    "en", "zh", "es", "fr", "de", "ja", "it", "ru", "ar", "ko", "vi", "th", "pt", "id", "nl", "pl", "tr", "he", "hi",
    "cs", "sv", "fa", "uk", "bn", "ur", "ms", "ro", "hu", "el", "da", "fi", "no", "nb", "sk", "bg", "hr", "sr", "ca",
)  # fmt: skip
"""Languages of the model family, in the order in which smaller models support them."""
_MULTILINGUAL_FROM = 100
"""Number of supported languages from which a model counts as supporting all languages."""
_SIZE_DOUBLING_WEIGHT = 0.25
"""Gain in suitability for twice the size; being made for the role gains 1."""
_ROLE_RANK_PENALTY = 0.2
"""Loss in suitability for each position in a model's list of roles."""
_MAX_THINKING_SHARE = 0.75
"""Maximum share of the output tokens for thinking; the rest is left for the answer."""


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """The selected model, with reasons and notes for the receipt."""

    choice: SelectedModel | None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ThinkingPlan:
    """Whether the model thinks, and its token budget."""

    think: bool = False
    budget: int | None = None
    """Maximum tokens of thinking; None if the model does not think."""
    notes: tuple[str, ...] = ()
    reason: str = ""
    """Reason for thinking or not, for the receipt."""


async def select_model(
    pool: ModelPool,
    decision: Decision,
    requested: str | None,
    language: str | None,
    policy: ModelPolicy,
    progress: Progress,
) -> ModelSelection:
    """Return the model that the person, a rule or the settings name, else the most suitable one."""
    role = decision.role
    if requested:
        return ModelSelection(await pool.choose(role, requested, progress))
    notes: tuple[str, ...] = ()
    if decision.model:
        try:
            return ModelSelection(await pool.choose(role, decision.model, progress))
        except (ConfigError, EngineUnavailable) as error:
            notes = (f"the model of your rule was passed over: {error}",)
    found = await pool.candidates(role, progress)
    if found.choice is None or not found.cards:
        return ModelSelection(found.choice, notes=notes)
    return replace(refine_selection(role, found.choice, found.cards, found.loaded, language, policy), notes=notes)


def refine_selection(
    role: Role,
    choice: SelectedModel,
    cards: Sequence[ModelCard],
    loaded: frozenset[str],
    language: str | None,
    policy: ModelPolicy,
) -> ModelSelection:
    """Return the model after considering the language and the loaded models."""
    able = [card for card in cards if supports_language(card, language)] if policy.languages else list(cards)
    reasons: tuple[str, ...] = ()
    if policy.languages and not supports_language(choice.card, language):
        other = best_for_role(role, able, choice.engine)
        if other is None:
            able = list(cards)
        else:
            reasons = (f"{choice.card.name} was not made for {english_name(language) or language}",)
            choice = other
    if choice.card.name in loaded:
        return ModelSelection(choice, reasons)
    resident = best_for_role(role, [card for card in able if _may_stay(card, choice.card, loaded)], choice.engine)
    if resident and suitability(role, choice.card) - suitability(role, resident.card) < policy.model_switch_threshold:
        return ModelSelection(resident, (*reasons, f"stayed with {resident.card.name} because it is loaded"))
    return ModelSelection(choice, reasons)


def _may_stay(card: ModelCard, best: ModelCard, loaded: frozenset[str]) -> bool:
    """Return whether a model is loaded and no smaller version of the best one, which serves the same roles better."""
    is_smaller_version = bool(card.series) and card.series == best.series and card.parameters < best.parameters
    return card.name in loaded and not is_smaller_version


def supports_language(card: ModelCard, language: str | None) -> bool:
    """Return whether a model supports a language; an unknown language counts as supported."""
    if language is None or card.languages >= _MULTILINGUAL_FROM:
        return True
    return language in _LANGUAGES_BY_COVERAGE[: card.languages]


def suitability(role: Role, card: ModelCard) -> float:
    """Return how well a model suits a role: up to 1 for being made for it, 0.25 for each doubling of its size."""
    made = max(0.0, 1 - _ROLE_RANK_PENALTY * card.roles.index(role)) if role in card.roles else 0.0
    return made + _SIZE_DOUBLING_WEIGHT * log2(max(card.parameters, 0.1))


def plan_thinking(
    decision: Decision,
    card: ModelCard | None,
    requested: bool | None,
    setting: Literal["auto", "on", "off"],
    policy: RoutingPolicy,
    max_tokens: int,
) -> ThinkingPlan:
    """Return the plan for a message by the person's override, a rule, the setting, then its difficulty.

    Args:
        decision: the routing decision.
        card: the model that answers.
        requested: the person's override.
        setting: the desk's setting.
        policy: threshold and budget.
        max_tokens: maximum tokens of thinking.
    """
    ability = card.thinking if card else "none"
    if ability == "none":
        return ThinkingPlan(
            notes=("this model cannot think before it answers",) if requested else (), reason="its model cannot"
        )
    if ability == "always":
        notes = ("this model always thinks before it answers",) if requested is False else ()
        return ThinkingPlan(True, _budget(decision, policy, max_tokens), notes, "its model always does")
    thinks, reason = should_think(decision, requested, setting, policy)
    # an override of thinking or role counts as the hardest message
    full = requested is True or decision.decided_by == "override"
    if not thinks:
        return ThinkingPlan(reason=reason)
    return ThinkingPlan(True, _budget(decision, policy, max_tokens, full=full), reason=reason)


def max_thinking_tokens(context: TurnContext) -> int:
    """Return the maximum tokens of thinking: of the policy, else of the settings, else a share of the output limit."""
    longest = int(context.pool.settings.max_output_tokens * _MAX_THINKING_SHARE)
    return max(1, min(context.policy.thinking.budget or context.think_budget or longest, longest))


def should_think(decision: Decision, requested: bool | None, setting: str, policy: RoutingPolicy) -> tuple[bool, str]:
    """Return whether to think, with the reason.

    Args:
        decision: the routing decision.
        requested: the person's override.
        setting: the desk's setting: auto, on or off.
        policy: threshold, and what holds for an abstention.
    """
    if requested is not None:
        return requested, "you asked for it" if requested else "you asked for an answer without"
    if decision.think is not None:
        return decision.think, "your rule says so"
    if setting != "auto":
        return setting == "on", f"the setting thinking is {setting}"
    if decision.abstained and policy.abstain.think:
        return True, "no role is likely enough"
    if role_definition(decision.role).thinks:
        return True, "this role always does"
    return decision.needs_thinking >= policy.thinking.threshold, f"{decision.needs_thinking:.0%} likely to need it"


def _budget(decision: Decision, policy: RoutingPolicy, max_tokens: int, *, full: bool = False) -> int:
    """Return the budget: half of the maximum at the threshold of difficulty, rising to the maximum."""
    threshold = policy.thinking.threshold
    if full or threshold >= 1:
        return max_tokens
    share = min(max((decision.needs_thinking - threshold) / (1 - threshold), 0.0), 1.0)
    return max(1, round(max_tokens * (0.5 + 0.5 * share)))


async def select_retry(
    context: TurnContext, inbound: Inbound, decision: Decision, choice: SelectedModel, thinks: bool
) -> RetryStep | None:
    """Return the model of a second try; None if no stronger one is available."""
    settings = context.pool.settings
    is_fixed = bool(inbound.model or decision.model or settings.roles.get(decision.role) or settings.model)
    may_think = inbound.think is not False and decision.think is not False and context.thinking != "off"
    cards = [] if is_fixed else await context.pool.models(choice.engine)
    return stronger_model(decision.role, choice, thinks, cards, is_fixed=is_fixed, may_think=may_think)


def stronger_model(
    role: Role, choice: SelectedModel, thinks: bool, cards: Sequence[ModelCard], *, is_fixed: bool, may_think: bool
) -> RetryStep | None:
    """Return the second try: the next larger model that suits the role, else the same one with thinking on.

    Args:
        role: the role of the answer.
        choice: the model of the first try.
        thinks: whether that model thought.
        cards: the available models.
        is_fixed: whether the person, a rule or the settings named the model.
        may_think: whether thinking is allowed.
    """
    larger = (
        [] if is_fixed else [card for card in cards if _suits(role, card) and card.parameters > choice.card.parameters]
    )
    if larger:
        card = min(larger, key=lambda card: (role not in card.roles, card.thinking == "none", card.parameters))
        return RetryStep(replace(choice, card=card, fallback_reason=None), card.thinking != "none" and may_think)
    if may_think and not thinks and choice.card.thinking == "hybrid":
        return RetryStep(choice, think=True)
    return None


def _suits(role: Role, card: ModelCard) -> bool:
    if role in ("vision", "audio"):
        return card.vision if role == "vision" else card.audio
    return role in card.roles or "general" in card.roles or "thinking" in card.roles
