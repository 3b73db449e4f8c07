"""Select the model for a role: the best available one, or a loaded one that is nearly as good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import log2

from qwendesk.engines.base import Progress
from qwendesk.engines.pool import ModelPool
from qwendesk.engines.selected_model import SelectedModel, best_for_role
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.messages import Role
from qwendesk.models.card import ModelCard
from qwendesk.routing.base import Decision
from qwendesk.routing.policy.policy_file import ModelPolicy
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


@dataclass(frozen=True, slots=True)
class ModelSelection:
    """The selected model, with reasons and notes for the receipt."""

    choice: SelectedModel | None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


async def select_model(
    pool: ModelPool, decision: Decision, wish: str | None, language: str | None, policy: ModelPolicy, progress: Progress
) -> ModelSelection:
    """Return the model that the person, a rule or the settings name, else the most suitable one."""
    role = decision.role
    if wish:
        return ModelSelection(await pool.choose(role, wish, progress))
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
    resident = best_for_role(role, [card for card in able if card.name in loaded], choice.engine)
    if resident and suitability(role, choice.card) - suitability(role, resident.card) < policy.model_switch_threshold:
        return ModelSelection(resident, (*reasons, f"stayed with {resident.card.name} because it is loaded"))
    return ModelSelection(choice, reasons)


def supports_language(card: ModelCard, language: str | None) -> bool:
    """Return whether a model supports a language; an unknown language counts as supported."""
    if language is None or card.languages >= _MULTILINGUAL_FROM:
        return True
    return language in _LANGUAGES_BY_COVERAGE[: card.languages]


def suitability(role: Role, card: ModelCard) -> float:
    """Return how well a model suits a role: up to 1 for being made for it, 0.25 for each doubling of its size."""
    made = max(0.0, 1 - _ROLE_RANK_PENALTY * card.roles.index(role)) if role in card.roles else 0.0
    return made + _SIZE_DOUBLING_WEIGHT * log2(max(card.parameters, 0.1))
