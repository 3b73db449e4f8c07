"""The classifier of domain and thinking: two calibrated linear models in one file, built in or trained by the user."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile, is_zipfile

import numpy as np
from numpy.typing import NDArray

from qwendesk.errors import ConfigError
from qwendesk.routing.classifier.features import FEATURE_NAMES
from qwendesk.routing.classifier.sentence_encoder import EMBEDDING_FEATURES

Array = NDArray[np.float64]
DOMAINS = ("other", "coder", "math")
ARTEFACT = "router.npz"
ARTEFACTS = {"default": ARTEFACT, "accurate": "router-accurate.npz"}
"""The file of each router."""
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LinearModel:
    """Weights and offsets of a softmax over classes."""

    weights: Array
    """Features by classes."""
    offsets: Array

    def logits(self, values: Array) -> Array:
        """Return the log-odds of each class."""
        result: Array = values @ self.weights + self.offsets
        return result


def softmax(logits: Array) -> Array:
    """Return probabilities along the last axis."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return result


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


def read_classifier(file: Path) -> Classifier:
    """Return the classifier of a file.

    Raises:
        ConfigError: it cannot be read, is not a router, or was trained on other features.
    """
    try:
        with file.open("rb") as opened:
            classifier = read_classifier_file(opened)
    except OSError as error:
        raise ConfigError(f"The router {str(file)!r} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, BadZipFile, EOFError) as error:
        # numpy reports a file that is not an archive as a pickle
        fault = (
            f"is not a router for this version of Qwendesk ({error})" if is_zipfile(file) else "is not a router file"
        )
        raise ConfigError(
            f"{str(file)!r} {fault}: train it again with 'qwendesk route learn --fit', "
            "or restore the previous one with 'qwendesk route learn --undo'."
        ) from None
    if not _is_valid(classifier):
        raise ConfigError(
            f"{str(file)!r} is not a valid router: its shapes or numbers are wrong. Run 'qwendesk route learn --undo'."
        )
    return classifier


def load_installed(folder: Path | None, artefact: str = ARTEFACT) -> Classifier:
    """Return the valid classifier of a folder, else the built-in one."""
    if folder is None or not (folder / artefact).is_file():
        return load_classifier(artefact)
    try:
        return read_classifier(folder / artefact)
    except ConfigError as error:
        _LOG.warning("%s The router that ships with Qwendesk is used.", error)
        return load_classifier(artefact)


def install_classifier(classifier: Classifier, folder: Path) -> Path:
    """Write a classifier to a folder atomically, keep the previous one, and return the file."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / ARTEFACTS["accurate" if classifier.uses_embeddings else "default"]
    new = file.with_name(f"new-{file.name}")
    classifier.save(new)
    if file.is_file():
        file.replace(_previous_file(file))
    new.replace(file)
    return file


def restore_previous(folder: Path, artefact: str = ARTEFACT) -> str:
    """Restore the previous router, or the built-in one; return which one is used, in words."""
    file = folder / artefact
    previous = _previous_file(file)
    if previous.is_file():
        previous.replace(file)
        return f"The router before the last one is used again ({str(file)!r})."
    if file.is_file():
        file.unlink()
        return "The router that ships with Qwendesk is used again."
    return "There is no earlier router: the router that ships with Qwendesk is used."


def _previous_file(file: Path) -> Path:
    return file.with_suffix(".previous.npz")


def _is_valid(classifier: Classifier) -> bool:
    """Return whether shapes and numbers of a classifier are valid."""
    size = len((*FEATURE_NAMES, *EMBEDDING_FEATURES)) if classifier.uses_embeddings else len(FEATURE_NAMES)
    shapes = {
        classifier.mean.shape == (size,),
        classifier.scale.shape == (size,),
        classifier.domain.weights.shape == (size, len(DOMAINS)),
        classifier.domain.offsets.shape == (len(DOMAINS),),
        classifier.thinking.weights.shape == (size, 2),
        classifier.thinking.offsets.shape == (2,),
        classifier.temperatures.shape == classifier.thresholds.shape == (2,),
    }
    if shapes != {True}:
        return False
    if not ((classifier.scale > 0).all() and (classifier.temperatures > 0).all()):
        return False
    return bool(np.isfinite(classifier.probabilities(np.zeros((1, size)))).all())
