"""Softmax regression with a prior on the weights, in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
_GRADIENT_STEPS = 400


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


def fit(
    values: Array, labels: NDArray[np.int64], shares: Array, prior: Array, hold: float, free: Array | None = None
) -> LinearModel:
    """Fit a softmax regression with an L2 penalty on the distance from the prior.

    Args:
        values: standardised features, a row for each question.
        labels: the class of each question.
        shares: weights of the questions; they add up to 1.
        prior: initial weights, features by classes.
        hold: strength of the penalty.
        free: 1 for each trainable feature, 0 for the others; None: all.
    """
    wanted = np.eye(prior.shape[1])[labels]
    moves = np.ones((len(prior), 1)) if free is None else free[:, None]
    weights, offsets = prior.copy(), np.zeros(prior.shape[1])
    ahead = (weights, offsets)
    rate = 1.0 / (hold + 0.5 * float(shares @ (values**2).sum(axis=1)) / 4 + 0.25)
    for step in range(_GRADIENT_STEPS):
        wrong = (softmax(values @ ahead[0] + ahead[1]) - wanted) * shares[:, None]
        new = (
            ahead[0] - rate * moves * (values.T @ wrong + hold * (ahead[0] - prior)),
            ahead[1] - rate * wrong.sum(axis=0),
        )
        push = step / (step + 3)
        ahead = (new[0] + push * (new[0] - weights), new[1] + push * (new[1] - offsets))
        weights, offsets = new
    return LinearModel(weights, offsets)
