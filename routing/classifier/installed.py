"""Install, restore and load a router that the user has trained."""

from __future__ import annotations

import logging
from pathlib import Path
from zipfile import BadZipFile, is_zipfile

import numpy as np

from qwendesk.errors import ConfigError
from qwendesk.routing.classifier.classifier import (
    ARTEFACT,
    ARTEFACTS,
    DOMAINS,
    Classifier,
    load_classifier,
    read_classifier_file,
)
from qwendesk.routing.classifier.features import FEATURE_NAMES
from qwendesk.routing.classifier.sentence_encoder import EMBEDDING_FEATURES

_LOG = logging.getLogger(__name__)


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
        fault = f"is no router for this Qwendesk ({error})" if is_zipfile(file) else "is not a router file"
        raise ConfigError(
            f"{str(file)!r} {fault}: make it anew with 'qwendesk route learn --fit', "
            "or take it back with 'qwendesk route learn --undo'."
        ) from None
    if not _is_valid(classifier):
        raise ConfigError(f"{str(file)!r} is no router: its numbers do not hold. Run 'qwendesk route learn --undo'.")
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
    return "There is nothing to take back: the router that ships with Qwendesk is used."


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
