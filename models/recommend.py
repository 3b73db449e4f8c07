"""Recommend models for a machine and a role: the largest that fit in memory and are fast enough.

Of models of about the same size, the newest generation is first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import log2

from qwendesk.messages import Role
from qwendesk.models.card import ModelCard

_GB_PER_BILLION_PARAMETERS = 0.62
"""File size of a billion parameters at 4 bits (Q4_K_M), in GB, if the catalogue has no size."""
_OVERHEAD_GB = 0.8
"""Memory for the context and the program, in GB."""
_GB_PER_SECOND_PER_CORE = 6.5
"""Weights that one CPU core reads per second, in GB; measured as 27 tokens/s of the starter model on two cores."""
_MIN_TOKENS_PER_SECOND = 5.0
"""Least acceptable speed of an answer."""
_MEMORY_SHARE = 0.7
"""Share of the free memory that a model may use."""
_MANY_LANGUAGES = 119
"""Number of languages of the newer series, which support less common ones."""
_COMMON_LANGUAGES = [
    "en",
    "zh",
    "es",
    "fr",
    "de",
    "it",
    "pt",
    "ru",
    "ja",
    "ko",
    "vi",
    "th",
    "ar",
    "hi",
    "id",
    "nl",
    "pl",
    "tr",
    "cs",
    "sv",
    "el",
    "ro",
    "hu",
    "uk",
    "he",
    "fa",
    "bn",
    "ur",
    "ms",
]
"""Languages that every series supports well."""


@dataclass(frozen=True, slots=True)
class MachineResources:
    """Memory for a model and CPU cores of a machine."""

    memory_gb: float
    cores: int

    @classmethod
    def with_free_memory(cls, free_gb: float, cores: int) -> MachineResources:
        """Return the resources of a machine of which a model takes a share of the free memory."""
        return cls(free_gb * _MEMORY_SHARE, cores)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A recommended model with its requirements and the reasons."""

    card: ModelCard
    size_gb: float
    """Size of the file at 4 bits."""
    needs_gb: float
    """Memory in use while the model answers."""
    tokens_per_second: float
    """Estimated speed on the machine's CPU."""
    reasons: tuple[str, ...]


def recommend(
    cards: Iterable[ModelCard],
    machine: MachineResources,
    *,
    role: Role = "general",
    language: str | None = None,
    min_tokens_per_second: float = _MIN_TOKENS_PER_SECOND,
    limit: int = 3,
) -> list[Recommendation]:
    """Return the best models for a role, best first; empty: no model fits.

    Args:
        cards: the candidates.
        machine: the machine.
        role: the role.
        language: ISO 639-1 code of a required language.
        min_tokens_per_second: least acceptable speed.
        limit: maximum number of results.
    """
    able = [card for card in cards if role in card.roles and _supports_language(card, language) and card.weights]
    rated = [_rate(card, machine, role, language) for card in able]
    fitting = [each for each in rated if not _obstacle(each, machine, min_tokens_per_second)]
    return sorted(fitting, key=lambda each: _rank(each.card, role))[:limit]


def obstacle(card: ModelCard, machine: MachineResources) -> str | None:
    """Return why a machine cannot run a model well; None: it can."""
    return _obstacle(_rate(card, machine, card.roles[0], None), machine, _MIN_TOKENS_PER_SECOND)


def _obstacle(rated: Recommendation, machine: MachineResources, min_tokens_per_second: float) -> str | None:
    if rated.needs_gb > machine.memory_gb:
        return f"it needs {rated.needs_gb:.1f} GB of memory, and a model may take {machine.memory_gb:.1f} GB"
    if rated.tokens_per_second < min_tokens_per_second:
        return f"it would write about {rated.tokens_per_second:.0f} tokens/s on {machine.cores} CPU cores"
    return None


def _rank(card: ModelCard, role: Role) -> tuple[float, ...]:
    """Return the sort key of a model: the role's place, then the size in doublings, then the generation."""
    doublings = round(log2(card.parameters)) if card.parameters else 0
    return card.roles.index(role), -doublings, -_generation(card), -card.parameters


def _generation(card: ModelCard) -> float:
    """Return the number in a series' name, such as 2.5; 0 if it has none."""
    found = re.match(r"[a-z]+(\d+(?:\.\d+)?)", card.series)
    return float(found[1]) if found else 0.0


def estimate_size_gb(card: ModelCard) -> float:
    """Return the size of a model file at 4 bits, in GB."""
    known = card.weights.bytes if card.weights else None
    return known / 1e9 if known else card.parameters * _GB_PER_BILLION_PARAMETERS


def _rate(card: ModelCard, machine: MachineResources, role: Role, language: str | None) -> Recommendation:
    size = estimate_size_gb(card)
    active = size * card.cost / card.parameters if card.parameters else size
    speed = _GB_PER_SECOND_PER_CORE * machine.cores / active if active else 0.0
    needs = size * 1.1 + _OVERHEAD_GB
    place = ("best" if card.roles[0] == role else "good") + f" at {role}"
    series = f"series {card.series}, " if card.series else ""
    reasons = [f"{place}; {series}{card.parameters:g} billion parameters"]
    reasons.append(f"needs {needs:.1f} of {machine.memory_gb:.1f} GB of memory at 4 bits")
    reasons.append(f"about {speed:.0f} tokens/s on {machine.cores} CPU cores")
    if language and language not in _COMMON_LANGUAGES:
        reasons.append(f"knows {card.languages} languages, {language} among them")
    return Recommendation(card, size, needs, speed, tuple(reasons))


def _supports_language(card: ModelCard, language: str | None) -> bool:
    return language is None or language in _COMMON_LANGUAGES or card.languages >= _MANY_LANGUAGES
