"""Which of several models answers for a role."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.messages import Role
from qwendesk.models.card import ModelCard


@dataclass(frozen=True, slots=True)
class Choice:
    """The model that answers for a role."""

    engine: str
    card: ModelCard
    fallback: str | None = None
    """Why it is not a model made for the role; None when it is."""
    pinned: bool = False
    """Whether the person asked for this very model, so that no other may stand in."""
    passed_over: tuple[str, ...] = ()
    """Who was to answer before it and could not, each with the reason."""

    @property
    def name(self) -> str:
        """Engine and model."""
        return f"{self.engine}:{self.card.name}"


def best(role: Role, cards: list[ModelCard], engine: str) -> Choice | None:
    """Return the best of the models for a role: made for it, else able to stand in, larger before smaller."""
    able = [card for card in cards if able_to(role, card)]
    made = [card for card in able if role in card.roles]
    if made:
        return Choice(engine, min(made, key=lambda card: (card.roles.index(role), -card.parameters)))
    if not able:
        return None
    chosen = min(able, key=lambda card: (not _thinks(role, card), "general" not in card.roles, -card.parameters))
    return Choice(engine, chosen, f"no model for {role} is installed; {chosen.name} stands in")


def able_to(role: Role, card: ModelCard) -> bool:
    """Tell whether a model can answer for a role at all."""
    return {"vision": card.vision, "audio": card.audio}.get(role, True)


def _thinks(role: Role, card: ModelCard) -> bool:
    return role == "thinking" and card.thinking != "none"
