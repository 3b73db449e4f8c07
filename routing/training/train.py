"""Train the router's classifier, evaluate it with sources left out, and write its file."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from qwendesk.routing.base import TEXT_ROLES
from qwendesk.routing.classifier.classifier import ARTEFACTS, DOMAINS, Array, Classifier, LinearModel, softmax
from qwendesk.routing.classifier.features import FEATURE_NAMES, extract_features
from qwendesk.routing.classifier.sentence_encoder import cached_embeddings
from qwendesk.routing.classifier.trained_router import choose_role
from qwendesk.routing.signals.cues import CueMatcher
from qwendesk.routing.training.dataset import LabelledQuestion, load_questions
from qwendesk.routing.training.metrics import GradedAnswer, accuracy, fit_temperatures, scores

EMBEDDING_REGULARIZATION, EMBEDDING_WEIGHT = 0.01, 0.5
"""L2 penalty on the embedding's weights, and their share beside other features; chosen by leaving sources out."""
_STANDARDIZED_NORM = 6.0
"""Norm of an average text's standardized embedding."""
_GRADIENT_STEPS = 400
REGULARIZATION = 0.5
"""Penalty on the distance of weights from the priors; chosen by leaving sources out."""
_MIN_SPREAD = 0.05
"""Added to each feature's standard deviation, to limit the effect of rare features."""
_THRESHOLDS = (0.34, 0.5)
"""Minimum probability of a role, and of thinking."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """Questions with their features."""

    questions: Sequence[LabelledQuestion]
    values: Array

    def part(self, chosen: NDArray[np.bool_]) -> TrainingSet:
        """Return the chosen questions."""
        return TrainingSet([q for q, yes in zip(self.questions, chosen, strict=True) if yes], self.values[chosen])


def build_training_set(
    questions: Sequence[LabelledQuestion], cues: CueMatcher | None = None, *, embeddings: bool = False
) -> TrainingSet:
    """Return questions with their features, and embeddings on request."""
    signs = np.array([extract_features(question.text, cues) for question in questions], dtype=np.float64)
    if not embeddings:
        return TrainingSet(questions, signs)
    return TrainingSet(questions, np.hstack([signs, cached_embeddings([question.text for question in questions])]))


def train(seen: TrainingSet) -> Classifier:
    """Return an uncalibrated classifier fitted to questions."""
    signs, embedded = seen.values[:, : len(FEATURE_NAMES)], seen.values[:, len(FEATURE_NAMES) :]
    classifier = _train_on_signs(TrainingSet(seen.questions, signs))
    return _add_embeddings(classifier, seen.questions, embedded) if embedded.size else classifier


def _train_on_signs(seen: TrainingSet) -> Classifier:
    mean, scale = seen.values.mean(axis=0), seen.values.std(axis=0) + _MIN_SPREAD
    standard = (seen.values - mean) / scale
    roles = np.array([TEXT_ROLES.index(question.label) for question in seen.questions])
    shares = _question_weights(seen.questions)
    prior = _priors() * scale[:, None]
    free = _trainable_features()
    other = (roles == 0) | (roles == TEXT_ROLES.index("thinking"))
    domains = np.where(other, 0, roles)
    domain_prior = np.stack([prior[:, 0] + prior[:, 3], prior[:, 1], prior[:, 2]], axis=1)
    return Classifier(
        mean,
        scale,
        fit(standard, domains, shares, domain_prior, REGULARIZATION, free),
        fit(
            standard[other],
            (roles[other] > 0).astype(np.int64),
            shares[other] / shares[other].sum(),
            prior[:, [0, 3]],
            REGULARIZATION,
            free,
        ),
        np.ones(2),
        np.array(_THRESHOLDS),
    )


def _add_embeddings(signs: Classifier, questions: Sequence[LabelledQuestion], embedded: Array) -> Classifier:
    """Return a classifier that adds the log-odds of features and embeddings."""
    mean, scale = standardization(embedded)
    standard = (embedded - mean) / scale
    roles = np.array([TEXT_ROLES.index(question.label) for question in questions])
    shares = _question_weights(questions)
    other = (roles == 0) | (roles == TEXT_ROLES.index("thinking"))
    thinks = (roles[other] > 0).astype(np.int64)
    domain = fit_embeddings(standard, np.where(other, 0, roles), shares, len(DOMAINS))
    thinking = fit_embeddings(standard[other], thinks, shares[other] / shares[other].sum(), 2)
    return replace(
        signs,
        mean=np.concatenate([signs.mean, mean]),
        scale=np.concatenate([signs.scale, scale]),
        domain=_stack_models(signs.domain, domain),
        thinking=_stack_models(signs.thinking, thinking),
    )


def _stack_models(first: LinearModel, second: LinearModel) -> LinearModel:
    return LinearModel(np.vstack([first.weights, second.weights]), first.offsets + second.offsets)


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


def standardization(vectors: Array) -> tuple[Array, Array]:
    """Return mean and scale that standardize embeddings."""
    scale: Array = (vectors.std(axis=0) + 1e-6) * np.sqrt(vectors.shape[1]) / _STANDARDIZED_NORM
    return vectors.mean(axis=0), scale


def fit_embeddings(standard: Array, labels: NDArray[np.int64], shares: Array, classes: int) -> LinearModel:
    """Fit a model of embeddings, scaled by its share beside the other features."""
    fitted = fit(standard, labels, shares, np.zeros((standard.shape[1], classes)), EMBEDDING_REGULARIZATION)
    return LinearModel(fitted.weights * EMBEDDING_WEIGHT, fitted.offsets * EMBEDDING_WEIGHT)


def leave_groups_out(
    everything: TrainingSet, held_out: Callable[[LabelledQuestion], str]
) -> list[tuple[LabelledQuestion, Classifier, Array]]:
    """Return each question with a classifier trained without its group and its translations.

    Args:
        everything: all questions.
        held_out: returns the key by which questions are left out together, such as the source.
    """
    keys = np.array([held_out(question) for question in everything.questions])
    groups = np.array([question.group or str(at) for at, question in enumerate(everything.questions)])
    result: list[tuple[LabelledQuestion, Classifier, Array]] = []
    for key in sorted(set(keys)):
        out = keys == key
        classifier = train(everything.part(~out & ~np.isin(groups, groups[out])))
        part = everything.part(out)
        result += [(q, classifier, values) for q, values in zip(part.questions, part.values, strict=True)]
    return result


def source_of(question: LabelledQuestion) -> str:
    """Return the source of a question, by which questions are left out together."""
    return question.source


def grade_answers(
    rows: Iterable[tuple[LabelledQuestion, Classifier, Array]],
    held_out: Callable[[LabelledQuestion], str] = source_of,
) -> list[GradedAnswer]:
    """Return the answers of held-out classifiers, each calibrated on the other groups, such as sources."""
    kept = list(rows)
    temperatures = {
        group: fit_temperatures(row for row in kept if held_out(row[0]) != group)
        for group in {held_out(question) for question, _, _ in kept}
    }
    said = []
    for question, classifier, values in kept:
        warm = replace(classifier, temperatures=temperatures[held_out(question)])
        role, _ = choose_role(warm, values)
        share = float(warm.probabilities(values)[TEXT_ROLES.index(role)])
        said.append(GradedAnswer(question.label, role, share, question.lang, question.kind))
    return said


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on all questions, write the file, and print the accuracy with sources left out."""
    parser = argparse.ArgumentParser(description="Train the router and write its artefact.")
    parser.add_argument(
        "--accurate", action="store_true", help="use sentence embeddings too; takes minutes the first time"
    )
    parser.add_argument("--output", type=Path, help="the artefact's file; the one that ships, by default")
    options = parser.parse_args(arguments)
    file = (
        options.output
        or Path(__file__).parents[1] / "classifier" / ARTEFACTS["accurate" if options.accurate else "default"]
    )
    everything = build_training_set(load_questions(), embeddings=options.accurate)
    held_out = leave_groups_out(everything, source_of)
    replace(train(everything), temperatures=fit_temperatures(held_out)).save(file)
    sys.stdout.write(_table(held_out) + f"\n{file} ({file.stat().st_size:,} bytes)\n")


def _table(rows: Sequence[tuple[LabelledQuestion, Classifier, Array]]) -> str:
    said = grade_answers(rows)
    lines = ["source left out            questions  accuracy"]
    by_source: dict[str, list[GradedAnswer]] = {}
    for (question, _, _), answer in zip(rows, said, strict=True):
        by_source.setdefault(question.source, []).append(answer)
    lines += [f"{source:26} {len(part):9}  {accuracy(part):.3f}" for source, part in sorted(by_source.items())]
    total = scores(said)
    lines.append(f"{'mean of sources':26} {'':9}  {fmean(accuracy(part) for part in by_source.values()):.3f}")
    for key in ("accuracy", "accuracy3", "macro_f1", "mean_of_languages", "worst_language", "ece"):
        lines.append(f"{key:26} {'':9}  {total[key]:.3f}")
    lines.append(f"{'most confident half':26} {'':9}  {total['selective']['50']:.3f}")
    return "\n".join(lines)


def _question_weights(questions: Sequence[LabelledQuestion]) -> Array:
    """Return the weights of questions: sources by the root of their size, roles equally."""
    sources = Counter(question.source for question in questions)
    labels = np.array([question.label for question in questions])
    shares = np.array([sources[question.source] ** -0.5 for question in questions])
    for label in set(labels):
        shares[labels == label] /= shares[labels == label].sum()
    result: Array = shares / shares.sum()
    return result


def _priors() -> Array:
    """Return the prior weights, features by roles."""
    tables = tomllib.loads(resources.files(__package__).joinpath("priors.toml").read_text("utf-8"))
    return np.array([[tables[role].get(name, 0.0) for role in TEXT_ROLES] for name in FEATURE_NAMES])


def _trainable_features() -> Array:
    """Return 1 for each trainable feature, 0 for features that depend on how a data set was made."""
    tables = tomllib.loads(resources.files(__package__).joinpath("priors.toml").read_text("utf-8"))
    return np.array([float(name not in tables["held"]["features"]) for name in FEATURE_NAMES])


if __name__ == "__main__":
    main()
