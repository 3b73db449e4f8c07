"""Decide whether documents answer a message: yes, perhaps, no, or the message is about something else.

The values are the similarity of the question and the nearest passage, its margin over other passages, and whether a
question for a number meets one. Vectors are centred first: those of questions by the mean of their language, those of
passages by the mean of the documents; without it, a question in one language is nearer to all that is in its language.
The weights are fitted for one embedding model (``benchmarks/fit_answers.py``). Without it, words decide.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import exp

import numpy as np
from numpy.typing import NDArray

from qwendesk.knowledge.base import Passage, Vectors
from qwendesk.messages import SearchOutcome
from qwendesk.routing.signals.cues import CueMatcher, fold, words_of
from qwendesk.routing.signals.language import is_function_word
from qwendesk.search_terms import query_terms

ANSWERED_LOGIT, POSSIBLE_LOGIT, RELATED_LOGIT = 1.5, -1.5, -1.15
"""Least log odds of an answer, of a possible answer, and of a message about the documents' matters."""
CERTAIN_LOGIT = 0.5
"""Least log odds of a message about the documents' matters that is answered for certain."""
NEAR_SIMILARITY, NEAR_RELATED_LOGIT = 0.3, -2.5
"""Similarity from which a message needs less to be about the documents' matters, and what it needs then."""
ANSWERED_COVERAGE, POSSIBLE_COVERAGE = 0.6, 0.35
"""The same for words alone: the share of a question's words, rare ones weighing more, that a passage holds."""
_MIN_TERMS = 2
"""Words that a message has to have, beside those of every question, to be judged by them."""
_COMPARED = 5
"""Further passages that the nearest is compared with."""
_PASSAGE_PRIOR, _RANKING_PRIOR = 1, 40
"""Number of passages for which the general mean counts beside the mean of the documents."""
_TRANSLATION_SIMILARITY = 0.8
"""Centred similarity from which two passages say the same, perhaps in two languages."""
Row = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The decision on a message, with the passages that it was made on, best first."""

    outcome: SearchOutcome
    passages: tuple[Passage, ...]
    reason: str
    """The values of the decision in words."""
    by_words: bool = False
    """Whether words alone decided."""
    is_near: bool = True
    """Whether the passages are near enough for the prompt of a model that answers itself."""


@dataclass(frozen=True, slots=True)
class AnswerWeights:
    """Means and weights for one embedding model."""

    model: str
    query_mean: Row
    language_means: dict[str, Row]
    passage_mean: Row
    own_matter: Row
    """Weights of a question's vector; behind them those of a cue word and of one."""
    related: Row
    """Weights of the log odds by the vector alone, of similarity, margin and one."""
    answered: Row
    """Weights of similarity, margin, a number that was asked for, and one."""


@cache
def load_weights() -> AnswerWeights:
    """Return the weights that ship with the package."""
    with resources.files(__package__).joinpath("answer_weights.npz").open("rb") as file:
        stored = np.load(file)
        arrays = {name: stored[name] for name in stored.files}
    means = arrays["language_means"].astype(np.float32)
    languages = dict(zip((str(code) for code in arrays["languages"]), means, strict=True))
    rows = {name: arrays[name].astype(np.float32) for name in ("query_mean", "passage_mean")}
    weights = {name: arrays[name].astype(np.float32) for name in ("own_matter", "related", "answered")}
    return AnswerWeights(str(arrays["model"]), language_means=languages, **rows, **weights)


@dataclass(frozen=True, slots=True)
class Measures:
    """The values that a decision by vectors is made on."""

    order: tuple[int, ...]
    """Places of the passages, best first; of several that say the same, only one."""
    similarity: float
    """Centred similarity of the question and the best passage."""
    margin: float
    """Its distance to the mean of the next ones."""


def measure(language: str | None, vector: Row, vectors: Vectors, weights: AnswerWeights) -> Measures:
    """Compare a question's vector with those of passages; ``weights`` gives the means."""
    by_rank = _centred(vectors, weights.passage_mean, _RANKING_PRIOR) @ _unit(vector - weights.query_mean)
    alike = _centred(vectors, weights.passage_mean, _PASSAGE_PRIOR)
    query = _unit(vector - weights.language_means.get(language or "", weights.query_mean))
    order: list[int] = []
    for place in map(int, np.argsort(-by_rank, kind="stable")):
        if all(alike[place] @ alike[other] < _TRANSLATION_SIMILARITY for other in order):
            order.append(place)
    # a passage that is not there counts as one that is no nearer than passages are on average
    margin = float(by_rank[order[0]] - by_rank[order[1 : 1 + _COMPARED]].sum() / _COMPARED)
    return Measures(tuple(order), float(alike[order[0]] @ query), margin)


def own_matter_inputs(question: str, vector: Row) -> Row:
    """Return the inputs of the part that tells what is put to a shop or an office from other messages."""
    return np.concatenate([5 * vector, [2.0 * is_own_matter(question), 1.0]]).astype(np.float32)


def judge_by_meaning(
    question: str, language: str | None, vector: Row, passages: Sequence[Passage], vectors: Vectors
) -> Verdict:
    """Decide by vectors.

    Args:
        question: the message.
        language: its language; None: not known.
        vector: its vector.
        passages: the nearest passages, in any order; at least one.
        vectors: their vectors.
    """
    weights = load_weights()
    found = measure(language, vector, vectors, weights)
    has_number = asks_for_number(question) and _has_digit(passages[found.order[0]].text)
    outcome, reason = decide(question, vector, found, has_number, weights)
    if _has_cue("elsewhere", question):
        outcome, reason = "unrelated", f"{reason}; it asks for the time, or for what stands in no document"
    is_near = outcome != "unrelated" or found.similarity >= NEAR_SIMILARITY
    return Verdict(outcome, tuple(passages[place] for place in found.order), reason, is_near=is_near)


def decide(
    question: str, vector: Row, found: Measures, has_number: bool, weights: AnswerWeights
) -> tuple[SearchOutcome, str]:
    """Return the outcome by the weights, and its values; ``has_number`` is set if a question for a number met one."""
    own = float(own_matter_inputs(question, vector) @ weights.own_matter)
    related = float(np.array([own, found.similarity, found.margin, 1.0]) @ weights.related)
    answered = float(np.array([found.similarity, found.margin, float(has_number), 1.0]) @ weights.answered)
    reason = (
        f"similarity {found.similarity:.2f}, margin {found.margin:.2f}; answered {_percent(answered)}, "
        f"about the documents' matters {_percent(related)}"
    )
    least = NEAR_RELATED_LOGIT if found.similarity >= NEAR_SIMILARITY else RELATED_LOGIT
    return _outcome(related, answered, least), reason


def judge_by_words(question: str, coverage: Sequence[tuple[Passage, float]]) -> Verdict:
    """Decide by words.

    Args:
        question: the message.
        coverage: passages, best first, with their coverage of the question.
    """
    best, share = coverage[0] if coverage else (None, 0.0)
    if len(query_terms(content_words(question))) < _MIN_TERMS and not _has_digit(question):
        share = min(share, POSSIBLE_COVERAGE / 2)  # one word says too little
    lacks_number = asks_for_number(question) and not (best and _has_digit(best.text))
    reason = f"words alone: {share:.0%} of the question covered"
    passages = tuple(passage for passage, _ in coverage)
    if share >= ANSWERED_COVERAGE and not lacks_number:
        return Verdict("answered", passages, reason, by_words=True)
    if share < POSSIBLE_COVERAGE and not is_shop_matter(question):
        return Verdict("unrelated", passages, reason, by_words=True, is_near=False)
    return Verdict("possible" if share >= POSSIBLE_COVERAGE else "unknown", passages, reason, by_words=True)


def content_words(question: str) -> str:
    """Return a question without the words that every question has."""
    return " ".join(word for word in words_of(fold(question)) if not is_function_word(word))


def asks_for_number(text: str) -> bool:
    """Return whether the answer to a question holds a number."""
    return _has_cue("number", text)


def is_shop_matter(text: str) -> bool:
    """Return whether a message names a matter of shops and offices, such as an order or opening hours."""
    return _has_cue("matter", text)


def is_own_matter(text: str) -> bool:
    """Return whether a message holds words for what is put to a shop or an office."""
    return _has_cue("own", text)


def _outcome(related: float, answered: float, least_related: float) -> SearchOutcome:
    if related < least_related:
        return "unrelated"
    if answered >= ANSWERED_LOGIT and related >= CERTAIN_LOGIT:
        return "answered"
    return "possible" if answered >= POSSIBLE_LOGIT else "unknown"


def _centred(vectors: Vectors, general: Row, prior: int) -> Vectors:
    mean = (vectors.sum(0) + prior * general) / (len(vectors) + prior)
    return _unit(vectors - mean)


def _unit(vectors: Row) -> Row:
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: Row = vectors / np.maximum(length, 1e-9)
    return unit


def _percent(logit: float) -> str:
    return f"{1 / (1 + exp(-max(-50.0, min(50.0, logit)))):.0%}"


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _has_cue(kind: str, text: str) -> bool:
    return any(True for _ in _cues(kind).find(words_of(fold(text))))


@cache
def _cues(kind: str) -> CueMatcher:
    tables = tomllib.loads(resources.files(__package__).joinpath("question_cues.toml").read_text("utf-8"))
    return CueMatcher((0, cue) for line in tables[kind].values() for cue in line.split(",") if cue.strip())
