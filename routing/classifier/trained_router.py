"""The trained router: features, classifier, abstention, and reasons in words."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Literal

import numpy as np

from qwendesk.routing.base import TEXT_ROLES, Decision, Signals, TextRole
from qwendesk.routing.classifier.classifier import ARTEFACTS, Array, Classifier, load_installed
from qwendesk.routing.classifier.features import FEATURE_NAMES, PATTERNS, extract_features
from qwendesk.routing.classifier.sentence_encoder import EMBEDDING_FEATURES, embed, load_encoder
from qwendesk.routing.signals.cues import load_cues

_KIND_REASONS = {
    "tech": "names of programming languages or tools",
    "code": "words of programming",
    "data": "words for files and data",
    "math": "words of mathematics",
    "how_many": "asks how many",
    "amounts": "counts, prices and shares",
    "reasons": "asks for reasons or steps",
    "puzzle": "words of a riddle",
    "weigh": "something to weigh or plan",
    "write": "asks for a text",
    "ask": "asks for a fact or an explanation",
    "assist": "an everyday errand",
    "service": "words of a customer",
    "talk": "small talk",
    "numbers": "numbers",
}
_SHAPE_REASONS = {
    "length": "a long text",
    "very_short": "a short text",
    "labels": "numbers that identify something",
    "numbers_count": "numbers",
    "numbers_density": "numbers",
    "many_numbers": "numbers",
    "capitals": "names",
    "repeated_names": "names",
    "count_numbers": "asks how many, of given numbers",
    "count_no_numbers": "asks how many, without numbers",
    "puzzle_numbers": "words of a riddle",
    "math_numbers": "words of mathematics",
    "math_no_numbers": "words of mathematics",
    "amounts_numbers": "counts, prices and shares",
    "code_data": "words of programming",
    "data_numbers": "words for files and data",
    "data_no_numbers": "words for files and data",
    "data_headings": "headings of input and output",
    "limits_data": "limits of an input",
    "material": "a text to work on",
    "material_numbers": "a text to work on",
    "long_puzzle": "words of a riddle",
    "options_puzzle": "lettered options",
    "options_math": "lettered options",
}
EMBEDDING_REASON = "what the whole text is about"
"""Reason of all embedding features together."""
_MAX_REASONS = 3
"""Maximum number of reasons."""
_IS_EMBEDDING = np.concatenate([np.zeros(len(FEATURE_NAMES)), np.ones(len(EMBEDDING_FEATURES))])
"""1 for embedding features, which are centred before they are explained."""
_LONG_WORDS = 40
"""Minimum words of a text whose length is a reason."""
_MIN_LOG_ODDS = 0.25
"""Minimum log-odds of a reason."""


def _reason(name: str) -> str:
    """Return the reason of a feature; empty if it has none for a person."""
    kind = name.removesuffix("_density").removesuffix("_first").removesuffix("_last").removesuffix("_share")
    signs = {pattern.name: pattern.reason for pattern in PATTERNS}
    return _SHAPE_REASONS.get(name) or _KIND_REASONS.get(kind) or signs.get(kind, "")


FEATURE_REASONS: tuple[str, ...] = tuple(map(_reason, FEATURE_NAMES))
"""Reason of each feature, in the order of features."""


class TrainedRouter:
    """Chooses a role by a small trained classifier in under a millisecond.

    Args:
        classifier: the classifier; None loads it from the folder on first use.
        folder: folder of a user's classifier; the built-in one is used if there is none.
        tier: ``accurate`` uses sentence embeddings, too; it needs the extra of that name and about 50 ms a message.
    """

    def __init__(
        self,
        classifier: Classifier | None = None,
        folder: Path | None = None,
        tier: Literal["default", "accurate"] = "default",
    ) -> None:
        self._classifier = classifier
        self._folder = folder
        self._artefact = ARTEFACTS[tier]

    @property
    def uses_embeddings(self) -> bool:
        """Whether a decision computes a sentence embedding."""
        return self._load().uses_embeddings

    def warm_up(self) -> None:
        """Load the classifier and the cues in advance."""
        if self._load().uses_embeddings:
            load_encoder()
        load_cues()

    def route(self, signals: Signals) -> Decision:
        """Return the role for a text; the general role below the thresholds."""
        classifier = self._load()
        values = read_features(signals.text, embeddings=classifier.uses_embeddings)
        shares, needs_thinking = classifier.role_probabilities(values)
        by_role = dict(zip(TEXT_ROLES, (round(float(share), 4) for share in shares), strict=True))
        role, sure = _choose_by_probability(classifier, shares)
        runner_up = max((other for other in TEXT_ROLES if other != role), key=by_role.__getitem__)
        return Decision(
            role=role,
            confidence=round(by_role[role], 3),
            runner_up=runner_up,
            signals=tuple(explain_role(classifier, values, role)) if sure else ("no role is likely enough",),
            probabilities=by_role,
            needs_thinking=round(float(needs_thinking), 3),
            abstained=not sure,
        )

    def _load(self) -> Classifier:
        if self._classifier is None:
            self._classifier = load_installed(self._folder, self._artefact)
        return self._classifier


def read_features(text: str, *, embeddings: bool) -> Array:
    """Return the features of a text, with its embedding on request."""
    signs = extract_features(text).astype(np.float64)
    return np.concatenate([signs, embed(text)]) if embeddings else signs


def choose_role(classifier: Classifier, values: Array) -> tuple[TextRole, bool]:
    """Return the role for features, and whether it is a decision, not an abstention."""
    return _choose_by_probability(classifier, classifier.probabilities(values))


def _choose_by_probability(classifier: Classifier, shares: Array) -> tuple[TextRole, bool]:
    general, coder, math, thinking = map(float, shares)
    least, needed = map(float, classifier.thresholds)
    if max(general, coder, math, thinking) < least:
        return "general", False
    if max(coder, math) > max(general, thinking):
        return ("coder" if coder >= math else "math"), True
    return ("thinking" if thinking >= needed * (general + thinking) else "general"), True


def explain_role(classifier: Classifier, values: Array, role: TextRole) -> list[str]:
    """Return the reasons for a role, strongest first."""
    present = (values - classifier.mean * _IS_EMBEDDING[: len(values)]) / classifier.scale
    column = {"coder": 1, "math": 2}.get(role, 0)
    gain = present * (classifier.domain.weights[:, column] - classifier.domain.weights.mean(axis=1))
    if column == 0:
        sign = 1 if role == "thinking" else -1
        gain = gain + sign * present * (classifier.thinking.weights[:, 1] - classifier.thinking.weights[:, 0]) / 2
    length = FEATURE_NAMES.index("length")
    if values[length] < np.log1p(_LONG_WORDS):
        gain[length] = 0.0  # the feature grows with each word
    total: dict[str, float] = defaultdict(float)
    for reason, part in zip(FEATURE_REASONS, gain, strict=False):
        if reason:
            total[reason] += float(part)
    if classifier.uses_embeddings:
        total[EMBEDDING_REASON] = float(gain[len(FEATURE_REASONS) :].sum())
    told = sorted((reason for reason, part in total.items() if part > _MIN_LOG_ODDS), key=lambda reason: -total[reason])
    return told[:_MAX_REASONS] or ["no sign of a specialised topic"]
