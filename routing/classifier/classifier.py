"""The classifier of domain and thinking: two calibrated linear models in one file."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np

from qwendesk.routing.classifier.features import FEATURE_NAMES
from qwendesk.routing.classifier.linear import Array, LinearModel, softmax
from qwendesk.routing.classifier.sentence_encoder import EMBEDDING_FEATURES

DOMAINS = ("other", "coder", "math")
ARTEFACT = "router.npz"
ARTEFACTS = {"default": ARTEFACT, "accurate": "router-accurate.npz"}
"""The file of each router."""


@dataclass(frozen=True, slots=True)
class Classifier:
    """Probabilities of the text roles from a text's features."""

    mean: Array
    scale: Array
    domain: LinearModel
    """Classes as in `DOMAINS`."""
    thinking: LinearModel
    """Without and with thinking."""
    temperatures: Array
    """Temperatures of domain and thinking, which divide the log-odds to calibrate the probabilities."""
    thresholds: Array
    """Minimum probability of a role, and of thinking, that counts as a decision."""

    @property
    def uses_embeddings(self) -> bool:
        """Whether the features include a sentence embedding."""
        return len(self.mean) > len(FEATURE_NAMES)

    def standardize(self, values: Array) -> Array:
        """Return features with mean 0 and scale 1."""
        result: Array = (values - self.mean) / self.scale
        return result

    def domains(self, values: Array) -> Array:
        """Return the probability of each domain; the last axis is as in `DOMAINS`."""
        return softmax(self.domain.logits(self.standardize(values)) / self.temperatures[0])

    def needs_thinking(self, values: Array) -> Array:
        """Return the probability that a text needs thinking."""
        result: Array = softmax(self.thinking.logits(self.standardize(values)) / self.temperatures[1])[..., 1]
        return result

    def probabilities(self, values: Array) -> Array:
        """Return the probability of general, coder, math and thinking, as in `TEXT_ROLES`."""
        return self.role_probabilities(values)[0]

    def role_probabilities(self, values: Array) -> tuple[Array, Array]:
        """Return the probability of each text role, and the probability that a text needs thinking."""
        domains, thinks = self.domains(values), self.needs_thinking(values)
        other = domains[..., 0]
        roles = np.stack([other * (1 - thinks), domains[..., 1], domains[..., 2], other * thinks], axis=-1)
        return roles, thinks

    def save(self, file: Path) -> None:
        """Write the classifier; equal numbers give equal bytes."""
        np.savez(file, names=np.array((*FEATURE_NAMES, *EMBEDDING_FEATURES)[: len(self.mean)]), **self._arrays())

    def _arrays(self) -> dict[str, Any]:
        return {
            "mean": self.mean,
            "scale": self.scale,
            "domain": self.domain.weights,
            "domain_offsets": self.domain.offsets,
            "thinking": self.thinking.weights,
            "thinking_offsets": self.thinking.offsets,
            "temperatures": self.temperatures,
            "thresholds": self.thresholds,
        }


def read_classifier_file(file: IO[bytes]) -> Classifier:
    """Return a classifier that `Classifier.save` wrote; no code of the file is executed.

    Raises:
        ValueError: the file was trained on other features.
    """
    with np.load(file, allow_pickle=False) as arrays:
        if tuple(arrays["names"]) not in (FEATURE_NAMES, (*FEATURE_NAMES, *EMBEDDING_FEATURES)):
            raise ValueError("The router's artefact was made for other features: run 'make router' once.")
        return Classifier(
            arrays["mean"],
            arrays["scale"],
            LinearModel(arrays["domain"], arrays["domain_offsets"]),
            LinearModel(arrays["thinking"], arrays["thinking_offsets"]),
            arrays["temperatures"],
            arrays["thresholds"],
        )


def load_classifier(artefact: str = ARTEFACT) -> Classifier:
    """Return a built-in classifier; it is read once."""
    return _load_built_in(artefact)


@cache
def _load_built_in(artefact: str) -> Classifier:
    with resources.files(__package__).joinpath(artefact).open("rb") as file:
        return read_classifier_file(file)
