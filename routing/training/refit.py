"""Retrain the router with the user's examples, and compare it with the router before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any
from zlib import crc32

import numpy as np

from qwendesk.routing.classifier.classifier import Classifier
from qwendesk.routing.classifier.trained_router import choose_role
from qwendesk.routing.training.dataset import LabelledQuestion, load_questions
from qwendesk.routing.training.metrics import fit_temperatures, scores
from qwendesk.routing.training.train import (
    TrainingSet,
    build_training_set,
    grade_answers,
    leave_groups_out,
    source_of,
    train,
)

OWN_SOURCE = "own"
"""Source of the user's examples."""
TOLERANCE = {"accuracy": 0.005, "ece": 0.01}
"""Tolerated loss of accuracy and rise of calibration error on the built-in questions, the size of random variation."""
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class RefitMetrics:
    """Metrics of a router on unseen questions."""

    accuracy: float
    """Accuracy on the built-in questions, leaving one source out at a time."""
    accuracy3: float
    """The same, with thinking counted as general."""
    ece: float
    """Calibration error on the same questions."""
    own: float
    """Cross-validated accuracy on the user's examples."""


@dataclass(frozen=True, slots=True)
class RefitResult:
    """A retrained router, with metrics before and after."""

    classifier: Classifier
    examples: int
    before: RefitMetrics
    after: RefitMetrics

    @property
    def losses(self) -> list[str]:
        """Metrics that worsen by more than the tolerance, in words."""
        found = []
        if self.after.accuracy < self.before.accuracy - TOLERANCE["accuracy"]:
            found.append(f"accuracy falls from {self.before.accuracy:.3f} to {self.after.accuracy:.3f}")
        if self.after.ece > self.before.ece + TOLERANCE["ece"]:
            found.append(f"the calibration error rises from {self.before.ece:.3f} to {self.after.ece:.3f}")
        return found

    def as_dict(self) -> dict[str, Any]:
        """Return the figures as plain JSON types."""
        return {
            "examples": self.examples,
            "before": asdict(self.before),
            "after": asdict(self.after),
            "tolerance": TOLERANCE,
            "losses": self.losses,
        }


def refit(
    own: Sequence[LabelledQuestion], base: Sequence[LabelledQuestion] | None = None, *, embeddings: bool = False
) -> RefitResult:
    """Return a router trained on the built-in questions and the user's; takes about half a minute.

    Args:
        own: the user's examples, at least one.
        base: questions that replace the built-in ones.
        embeddings: whether the router reads sentence embeddings, too.
    """
    shipped = build_training_set(load_questions() if base is None else base, embeddings=embeddings)
    added = build_training_set([replace(question, source=OWN_SOURCE) for question in own], embeddings=embeddings)
    everything = _concatenate(shipped, added)
    before, after = leave_groups_out(shipped, source_of), leave_groups_out(everything, source_of)
    kept = [row for row in after if row[0].source != OWN_SOURCE]
    classifier = replace(train(everything), temperatures=fit_temperatures(after))
    return RefitResult(
        classifier,
        len(own),
        _refit_metrics(before, _share_right([train(shipped)] * _FOLDS, added)),
        _refit_metrics(kept, _share_right(_folds(shipped, added), added)),
    )


def _concatenate(first: TrainingSet, second: TrainingSet) -> TrainingSet:
    return TrainingSet([*first.questions, *second.questions], np.concatenate([first.values, second.values]))


def _refit_metrics(rows: Sequence[tuple[LabelledQuestion, Classifier, Any]], own: float) -> RefitMetrics:
    result = scores(grade_answers(rows))
    return RefitMetrics(result["accuracy"], result["accuracy3"], result["ece"], own)


def _fold(question: LabelledQuestion) -> int:
    return crc32((question.group or question.text).encode("utf-8", "replace")) % _FOLDS


def _folds(shipped: TrainingSet, added: TrainingSet) -> list[Classifier]:
    """Return for each fold of the user's examples a classifier trained without it."""
    folds = np.array([_fold(question) for question in added.questions])
    return [train(_concatenate(shipped, added.part(folds != fold))) for fold in range(_FOLDS)]


def _share_right(by_fold: Sequence[Classifier], added: TrainingSet) -> float:
    """Return the accuracy on the user's examples, each by the classifier of its fold."""
    rows = zip(added.questions, added.values, strict=True)
    return round(
        fmean(choose_role(by_fold[_fold(question)], values)[0] == question.label for question, values in rows), 4
    )
