"""The model selected for a role, and the selection of the best one."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.messages import Role
from qwendesk.models.card import ModelCard


@dataclass(frozen=True, slots=True)
class SelectedModel:
    """The model that plays a role."""

    engine: str
    card: ModelCard
    fallback_reason: str | None = None
    """Why a model that is not made for the role is used; None for a model made for it."""
    pinned: bool = False
    """Whether the user requested this model, so that no other may replace it."""
    skipped: tuple[str, ...] = ()
    """Why each model that was preferred to this one could not answer."""

    @property
    def name(self) -> str:
        """Engine and model, as ``engine:model``."""
        return f"{self.engine}:{self.card.name}"


@dataclass(frozen=True, slots=True)
class ModelCandidates:
    """The models that can play a role."""

    choice: SelectedModel | None
    """The first choice; None if no model can play the role."""
    cards: tuple[ModelCard, ...] = ()
    """All models of its engine, if another one may be taken."""
    loaded: frozenset[str] = frozenset()
    """Names of the models in memory; switching to another one takes time."""


def best_for_role(role: Role, cards: list[ModelCard], engine: str) -> SelectedModel | None:
    """Return the best model for a role: made for it, else able to play it; larger models first."""
    able = [card for card in cards if can_play(role, card)]
    made = [card for card in able if role in card.roles]
    if made:
        return SelectedModel(engine, min(made, key=lambda card: (card.roles.index(role), -card.parameters)))
    if not able:
        return None
    chosen = min(able, key=lambda card: (not _thinks(role, card), "general" not in card.roles, -card.parameters))
    return SelectedModel(engine, chosen, f"no model for {role} is installed; {chosen.name} stands in")


def can_play(role: Role, card: ModelCard) -> bool:
    """Return whether a model takes the input of a role."""
    return {"vision": card.vision, "audio": card.audio}.get(role, True)


def _thinks(role: Role, card: ModelCard) -> bool:
    return role == "thinking" and card.thinking != "none"
