"""Measure accuracy, calibration, latency and memory of a router; fit the temperatures that calibrate it."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, quantiles
from typing import Any, cast

import numpy as np
import psutil
from numpy.typing import NDArray

from qwendesk.routing.base import TEXT_ROLES, Router, Signals, TextRole
from qwendesk.routing.classifier.classifier import DOMAINS, Array, Classifier, softmax
from qwendesk.routing.training.dataset import LabelledQuestion
from qwendesk.routing.training.noise import noisy_texts

_CALIBRATION_BINS = 10
_SELECTIVE_PERCENTAGES = (50, 70, 90)
_MIN_LANGUAGE_QUESTIONS = 8
"""Minimum questions of a language whose accuracy is reported."""
_TEMPERATURES = np.linspace(0.4, 2.0, 33)
"""Temperatures that are tried."""
_CLASSIFIED_DOMAINS = frozenset({"coder", "math"})


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """A router's answer to one labelled question."""

    label: TextRole
    role: TextRole
    confidence: float
    lang: str = ""
    kind: str = ""

    @property
    def right(self) -> bool:
        """Whether the role equals the label."""
        return self.role == self.label


def scores(answers: Sequence[GradedAnswer]) -> dict[str, Any]:
    """Return all metrics of a router's answers, of which there must be at least one."""
    by_language = {lang: round(accuracy(group), 4) for lang, group in sorted(_by_language(answers).items())}
    enough = [
        by_language[lang] for lang, group in _by_language(answers).items() if len(group) >= _MIN_LANGUAGE_QUESTIONS
    ]
    kinds = {kind: round(accuracy(group), 4) for kind, group in sorted(_by_kind(answers).items())}
    by_role = {role: _role_scores(answers, role) for role in TEXT_ROLES}
    present = [by_role[role]["f1"] for role in TEXT_ROLES if any(role in (a.label, a.role) for a in answers)]
    return {
        "questions": len(answers),
        "accuracy": round(accuracy(answers), 4),
        "accuracy3": round(fmean(_merged(a.role) == _merged(a.label) for a in answers), 4),
        "macro_f1": round(fmean(present), 4),
        "by_role": by_role,
        "by_language": by_language,
        "by_kind": kinds,
        "mean_of_languages": round(fmean(enough), 4) if enough else None,
        "worst_language": min(enough) if enough else None,
        "confusion": confusion(answers),
        "ece": round(calibration_error(answers), 4),
        "selective": {str(kept): round(accuracy(most_confident(answers, kept)), 4) for kept in _SELECTIVE_PERCENTAGES},
    }


def accuracy(answers: Sequence[GradedAnswer]) -> float:
    """Return the share of right answers."""
    return fmean(answer.right for answer in answers)


def most_confident(answers: Sequence[GradedAnswer], percent: int) -> Sequence[GradedAnswer]:
    """Return the most confident answers, at least one."""
    ordered = sorted(answers, key=lambda answer: -answer.confidence)
    return ordered[: max(1, len(ordered) * percent // 100)]


def confusion(answers: Sequence[GradedAnswer]) -> dict[str, dict[str, int]]:
    """Return the confusion matrix: counts by label and role."""
    roles: tuple[str, ...] = TEXT_ROLES
    table = {label: dict.fromkeys(roles, 0) for label in roles}
    for answer in answers:
        table[answer.label][answer.role] += 1
    return table


def calibration_bins(answers: Sequence[GradedAnswer]) -> list[tuple[float, float, int]]:
    """Return (mean confidence, accuracy, number) of each bin of confidence, in ascending order."""
    groups: dict[int, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        groups[min(int(answer.confidence * _CALIBRATION_BINS), _CALIBRATION_BINS - 1)].append(answer)
    return [
        (fmean(a.confidence for a in groups[key]), accuracy(groups[key]), len(groups[key])) for key in sorted(groups)
    ]


def calibration_error(answers: Sequence[GradedAnswer]) -> float:
    """Return the expected calibration error (ECE)."""
    return sum(abs(sure - right) * number for sure, right, number in calibration_bins(answers)) / len(answers)


def _merged(role: TextRole) -> TextRole:
    return "general" if role == "thinking" else role


def _by_language(answers: Sequence[GradedAnswer]) -> dict[str, list[GradedAnswer]]:
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        groups[answer.lang or "?"].append(answer)
    return groups


def _by_kind(answers: Sequence[GradedAnswer]) -> dict[str, list[GradedAnswer]]:
    """Return the answers to questions whose kind is known."""
    groups: dict[str, list[GradedAnswer]] = defaultdict(list)
    for answer in answers:
        if answer.kind:
            groups[answer.kind].append(answer)
    return groups


def _role_scores(answers: Sequence[GradedAnswer], role: TextRole) -> dict[str, float]:
    hits = sum(a.role == a.label == role for a in answers)
    said, meant = sum(a.role == role for a in answers), sum(a.label == role for a in answers)
    precision, recall = hits / said if said else 0.0, hits / meant if meant else 0.0
    f1 = 2 * precision * recall / (precision + recall) if hits else 0.0
    return {"precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4), "questions": meant}


def measure_router(router: Router, questions: Sequence[LabelledQuestion], *, noise: bool = False) -> dict[str, Any]:
    """Return accuracy, calibration, latency and memory of a router on at least one question.

    Args:
        router: the router.
        questions: the questions.
        noise: ask each question in other ways of writing, too, and return what each costs.
    """
    router.route(Signals(questions[0].text))
    answers, times = [], []
    for question in questions:
        begun = time.perf_counter()
        decision = router.route(Signals(question.text))
        times.append((time.perf_counter() - begun) * 1e3)
        role = cast(TextRole, decision.role)
        answers.append(GradedAnswer(question.label, role, decision.confidence, question.lang, question.kind))
    if noise:
        costs = {"cost_of_noise": _cost_of_noise(router, questions, accuracy(answers))}
        return scores(answers) | costs | _resources(times)
    return scores(answers) | _resources(times)


def _cost_of_noise(router: Router, questions: Sequence[LabelledQuestion], without: float) -> dict[str, float]:
    """Return the share of questions that each way of writing costs."""
    costs = {}
    for name, texts in noisy_texts(questions):
        right = fmean(router.route(Signals(text)).role == q.label for q, text in zip(questions, texts, strict=True))
        costs[name] = round(without - right, 4)
    return costs


def _resources(times: Sequence[float]) -> dict[str, Any]:
    rss = psutil.Process().memory_info().rss
    return {"latency_ms": percentiles(times), "rss_mb": round(rss / 1e6, 1)}


def percentiles(times: Sequence[float]) -> dict[str, float]:
    """Return the median and the 95th percentile of milliseconds."""
    parts = quantiles(times, n=20, method="inclusive") if len(times) > 1 else list(times) * 19
    return {"p50": round(parts[9], 3), "p95": round(parts[18], 3)}


def fit_temperatures(seen: Iterable[tuple[LabelledQuestion, Classifier, Array]]) -> Array:
    """Return the temperatures of domain and thinking with the least log loss on unseen questions."""
    domain_logits, domains, thinking_logits, thinks, weights = [], [], [], [], []
    rows = list(seen)
    if not rows:
        return np.ones(2)
    sources = Counter(question.source for question, _, _ in rows)
    for question, classifier, values in rows:
        standard = classifier.standardize(values)
        domain_logits.append(classifier.domain.logits(standard))
        thinking_logits.append(classifier.thinking.logits(standard))
        domains.append(DOMAINS.index(question.label) if question.label in _CLASSIFIED_DOMAINS else 0)
        thinks.append(int(question.label == "thinking"))
        weights.append(sources[question.source] ** -0.5)
    other = np.array(domains) == 0
    weight = np.array(weights)
    return np.array(
        [
            _best_temperature(np.array(domain_logits), np.array(domains), weight),
            _best_temperature(np.array(thinking_logits)[other], np.array(thinks)[other], weight[other]),
        ]
    )


def _best_temperature(logits: Array, labels: NDArray[np.int64], weights: Array) -> float:
    """Return the temperature with the least log loss."""
    at = np.arange(len(labels))
    losses = [
        -(weights * np.log(softmax(logits / temperatures)[at, labels] + 1e-9)).sum() for temperatures in _TEMPERATURES
    ]
    return float(_TEMPERATURES[int(np.argmin(losses))])
