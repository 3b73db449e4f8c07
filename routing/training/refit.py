"""Train the router anew with examples of one's own, and see beforehand whether it loses anything by it."""

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
from qwendesk.routing.training.metrics import scores
from qwendesk.routing.training.train import (
    TrainingSet,
    build_training_set,
    fit_temperatures,
    grade_answers,
    leave_groups_out,
    train,
)

OWN_SOURCE = "own"
"""The source of examples of one's own."""
TOLERANCE = {"accuracy": 0.005, "ece": 0.01}
"""How much accuracy may fall and the calibration error may rise on the questions that ship: what chance does alone."""
_FOLDS = 5


@dataclass(frozen=True, slots=True)
class RefitMetrics:
    """How a router does on questions it has not seen."""

    accuracy: float
    """On the questions that ship, each source left out of training in turn."""
    accuracy3: float
    """The same, thinking counted as general."""
    ece: float
    """The same questions' calibration error."""
    own: float
    """On the examples of one's own; those it is judged by are left out of training."""


@dataclass(frozen=True, slots=True)
class RefitResult:
    """A router trained anew, beside the one trained on the questions that ship."""

    classifier: Classifier
    examples: int
    before: RefitMetrics
    after: RefitMetrics

    @property
    def losses(self) -> list[str]:
        """What gets worse by more than is tolerated, in words."""
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
    """Return a router trained on the questions that ship and on one's own; takes half a minute or so.

    Args:
        own: the examples of one's own, at least one.
        base: questions to take in the place of those that ship.
        embeddings: whether the router reads sentence embeddings, too.
    """
    shipped = build_training_set(load_questions() if base is None else base, embeddings=embeddings)
    added = build_training_set([replace(question, source=OWN_SOURCE) for question in own], embeddings=embeddings)
    everything = _concatenate(shipped, added)
    before, after = leave_groups_out(shipped, _source), leave_groups_out(everything, _source)
    kept = [row for row in after if row[0].source != OWN_SOURCE]
    classifier = replace(train(everything), temperatures=fit_temperatures(after))
    return RefitResult(
        classifier,
        len(own),
        _refit_metrics(before, _share_right([train(shipped)] * _FOLDS, added)),
        _refit_metrics(kept, _share_right(_folds(shipped, added), added)),
    )


def _source(question: LabelledQuestion) -> str:
    return question.source


def _concatenate(first: TrainingSet, second: TrainingSet) -> TrainingSet:
    return TrainingSet([*first.questions, *second.questions], np.concatenate([first.values, second.values]))


def _refit_metrics(rows: Sequence[tuple[LabelledQuestion, Classifier, Any]], own: float) -> RefitMetrics:
    result = scores(grade_answers(rows))
    return RefitMetrics(result["accuracy"], result["accuracy3"], result["ece"], own)


def _fold(question: LabelledQuestion) -> int:
    return crc32((question.group or question.text).encode("utf-8", "replace")) % _FOLDS


def _folds(shipped: TrainingSet, added: TrainingSet) -> list[Classifier]:
    """Return a classifier for each fold of one's own examples that has not seen it."""
    folds = np.array([_fold(question) for question in added.questions])
    return [train(_concatenate(shipped, added.part(folds != fold))) for fold in range(_FOLDS)]


def _share_right(by_fold: Sequence[Classifier], added: TrainingSet) -> float:
    """Return the share of one's own examples that the classifier of their fold gets right."""
    rows = zip(added.questions, added.values, strict=True)
    return round(
        fmean(choose_role(by_fold[_fold(question)], values)[0] == question.label for question, values in rows), 4
    )
