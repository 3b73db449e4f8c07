"""Meanings of training questions, computed once and kept: the encoder takes minutes for all of them."""

from __future__ import annotations

import argparse
import hashlib
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from statistics import fmean
from zipfile import BadZipFile

import numpy as np
import platformdirs
from numpy.typing import NDArray

from qwendesk.routing.base import TEXT_ROLES
from qwendesk.routing.classifier.classifier import ARTEFACTS, DOMAINS, Classifier
from qwendesk.routing.classifier.features import NAMES, features
from qwendesk.routing.classifier.linear import Array, Linear, fit, softmax
from qwendesk.routing.classifier.sentence_encoder import MEANING, embed, fit_meaning, scales
from qwendesk.routing.classifier.trained_router import choose
from qwendesk.routing.signals.cues import Cues
from qwendesk.routing.training.dataset import Question, load_questions
from qwendesk.routing.training.metrics import Answer, accuracy, scores

_SAVED_EVERY = 250

"""Questions after which what is done is saved."""


def cached_meanings(texts: Sequence[str], file: Path | None = None) -> Array:
    """Return the meanings of texts, those known already from a file in the user's cache."""
    file = file or Path(platformdirs.user_cache_dir("qwendesk", appauthor=False)) / "router-meanings.npz"
    known = _read(file)
    keys = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    for number, (key, text) in enumerate(missing.items(), 1):
        known[key] = embed(text).astype(np.float32)
        if number % _SAVED_EVERY == 0 or number == len(missing):
            sys.stderr.write(f"meanings of questions: {number} of {len(missing)}\n")
            _write(file, known)
    return np.array([known[key] for key in keys], dtype=np.float64).reshape(len(keys), len(MEANING))


def _read(file: Path) -> dict[str, Array]:
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return dict(zip(map(str, arrays["keys"]), arrays["vectors"], strict=True))
    except (OSError, ValueError, KeyError, BadZipFile, EOFError):
        return {}  # none yet, or broken: they are computed anew


def _write(file: Path, known: dict[str, Array]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f"new-{file.name}")
    np.savez(new, keys=np.array(list(known)), vectors=np.array(list(known.values()), dtype=np.float32))
    new.replace(file)


HOLD = 0.5

"""How strongly weights are held to the priors; chosen by leaving sources out."""

_FLOOR = 0.05

"""Added to each feature's spread, so that a rare sign does not count beyond measure."""

_WARMTHS = np.linspace(0.4, 2.0, 33)

_THRESHOLDS = (0.34, 0.5)

"""Below this share no role is decided on; from this share on a text of no other domain needs thinking."""

_SEEN = frozenset({"coder", "math"})


@dataclass(frozen=True, slots=True)
class Material:
    """Questions with their features."""

    questions: Sequence[Question]
    values: Array

    def part(self, chosen: NDArray[np.bool_]) -> Material:
        """Return the chosen questions."""
        return Material([q for q, yes in zip(self.questions, chosen, strict=True) if yes], self.values[chosen])


def material(questions: Sequence[Question], cues: Cues | None = None, *, meaning: bool = False) -> Material:
    """Return questions with their features: signs and, where it is asked for, meaning."""
    signs = np.array([features(question.text, cues) for question in questions], dtype=np.float64)
    if not meaning:
        return Material(questions, signs)
    return Material(questions, np.hstack([signs, cached_meanings([question.text for question in questions])]))


def train(seen: Material) -> Classifier:
    """Return the classifier fitted to questions, uncalibrated."""
    signs, meanings = seen.values[:, : len(NAMES)], seen.values[:, len(NAMES) :]
    classifier = _of_signs(Material(seen.questions, signs))
    return _and_meaning(classifier, seen.questions, meanings) if meanings.size else classifier


def _of_signs(seen: Material) -> Classifier:
    mean, scale = seen.values.mean(axis=0), seen.values.std(axis=0) + _FLOOR
    standard = (seen.values - mean) / scale
    roles = np.array([TEXT_ROLES.index(question.label) for question in seen.questions])
    shares = _shares(seen.questions)
    prior = _priors() * scale[:, None]
    free = _free()
    other = (roles == 0) | (roles == TEXT_ROLES.index("thinking"))
    domains = np.where(other, 0, roles)
    domain_prior = np.stack([prior[:, 0] + prior[:, 3], prior[:, 1], prior[:, 2]], axis=1)
    return Classifier(
        mean,
        scale,
        fit(standard, domains, shares, domain_prior, HOLD, free),
        fit(
            standard[other],
            (roles[other] > 0).astype(np.int64),
            shares[other] / shares[other].sum(),
            prior[:, [0, 3]],
            HOLD,
            free,
        ),
        np.ones(2),
        np.array(_THRESHOLDS),
    )


def _and_meaning(signs: Classifier, questions: Sequence[Question], meanings: Array) -> Classifier:
    """Return a classifier of signs and meaning: the log-odds of both, added."""
    mean, scale = scales(meanings)
    standard = (meanings - mean) / scale
    roles = np.array([TEXT_ROLES.index(question.label) for question in questions])
    shares = _shares(questions)
    other = (roles == 0) | (roles == TEXT_ROLES.index("thinking"))
    thinks = (roles[other] > 0).astype(np.int64)
    domain = fit_meaning(standard, np.where(other, 0, roles), shares, len(DOMAINS))
    thinking = fit_meaning(standard[other], thinks, shares[other] / shares[other].sum(), 2)
    return replace(
        signs,
        mean=np.concatenate([signs.mean, mean]),
        scale=np.concatenate([signs.scale, scale]),
        domain=_joined(signs.domain, domain),
        thinking=_joined(signs.thinking, thinking),
    )


def _joined(first: Linear, second: Linear) -> Linear:
    return Linear(np.vstack([first.weights, second.weights]), first.offsets + second.offsets)


def unseen(everything: Material, held_out: Callable[[Question], str]) -> list[tuple[Question, Classifier, Array]]:
    """Return each question with a classifier that has seen nothing of its kind, nor a translation of it.

    Args:
        everything: all questions.
        held_out: what is left out together, such as a question's source.
    """
    keys = np.array([held_out(question) for question in everything.questions])
    groups = np.array([question.group or str(at) for at, question in enumerate(everything.questions)])
    result: list[tuple[Question, Classifier, Array]] = []
    for key in sorted(set(keys)):
        out = keys == key
        classifier = train(everything.part(~out & ~np.isin(groups, groups[out])))
        part = everything.part(out)
        result += [(q, classifier, values) for q, values in zip(part.questions, part.values, strict=True)]
    return result


def calibrate(seen: Iterable[tuple[Question, Classifier, Array]]) -> Array:
    """Return the warmth of domain and thinking under which unseen questions are least surprising."""
    domain_logits, domains, thinking_logits, thinks, weights = [], [], [], [], []
    rows = list(seen)
    if not rows:
        return np.ones(2)
    sources = Counter(question.source for question, _, _ in rows)
    for question, classifier, values in rows:
        standard = classifier.standard(values)
        domain_logits.append(classifier.domain.logits(standard))
        thinking_logits.append(classifier.thinking.logits(standard))
        domains.append(DOMAINS.index(question.label) if question.label in _SEEN else 0)
        thinks.append(int(question.label == "thinking"))
        weights.append(sources[question.source] ** -0.5)
    other = np.array(domains) == 0
    weight = np.array(weights)
    return np.array(
        [
            _warmth(np.array(domain_logits), np.array(domains), weight),
            _warmth(np.array(thinking_logits)[other], np.array(thinks)[other], weight[other]),
        ]
    )


def answers(rows: Iterable[tuple[Question, Classifier, Array]]) -> list[Answer]:
    """Return what held-out classifiers say, each calibrated by the other sources only."""
    kept = list(rows)
    warmths = {
        source: calibrate(row for row in kept if row[0].source != source) for source in {q.source for q, _, _ in kept}
    }
    said = []
    for question, classifier, values in kept:
        warm = replace(classifier, warmth=warmths[question.source])
        role, _ = choose(warm, values)
        share = float(warm.probabilities(values)[TEXT_ROLES.index(role)])
        said.append(Answer(question.label, role, share, question.lang))
    return said


def main(arguments: Sequence[str] | None = None) -> None:
    """Train on all questions, write the artefact, and print how the same training does on sources left out."""
    parser = argparse.ArgumentParser(description="Train the router and write its artefact.")
    parser.add_argument("--accurate", action="store_true", help="read meanings too; minutes, the first time")
    parser.add_argument("--output", type=Path, help="the artefact's file; the one that ships, by default")
    options = parser.parse_args(arguments)
    file = (
        options.output
        or Path(__file__).parents[1] / "classifier" / ARTEFACTS["accurate" if options.accurate else "default"]
    )
    everything = material(load_questions(), meaning=options.accurate)
    held_out = unseen(everything, lambda question: question.source)
    replace(train(everything), warmth=calibrate(held_out)).save(file)
    sys.stdout.write(_table(held_out) + f"\n{file} ({file.stat().st_size:,} bytes)\n")


def _table(rows: Sequence[tuple[Question, Classifier, Array]]) -> str:
    said = answers(rows)
    lines = ["source left out            questions  accuracy"]
    by_source: dict[str, list[Answer]] = {}
    for (question, _, _), answer in zip(rows, said, strict=True):
        by_source.setdefault(question.source, []).append(answer)
    lines += [f"{source:26} {len(part):9}  {accuracy(part):.3f}" for source, part in sorted(by_source.items())]
    total = scores(said)
    lines.append(f"{'mean of sources':26} {'':9}  {fmean(accuracy(part) for part in by_source.values()):.3f}")
    for key in ("accuracy", "accuracy3", "macro_f1", "mean_of_languages", "worst_language", "ece"):
        lines.append(f"{key:26} {'':9}  {total[key]:.3f}")
    lines.append(f"{'most confident half':26} {'':9}  {total['selective']['50']:.3f}")
    return "\n".join(lines)


def _shares(questions: Sequence[Question]) -> Array:
    """Return how much each question counts: sources by the root of their size, roles alike."""
    sources = Counter(question.source for question in questions)
    labels = np.array([question.label for question in questions])
    shares = np.array([sources[question.source] ** -0.5 for question in questions])
    for label in set(labels):
        shares[labels == label] /= shares[labels == label].sum()
    result: Array = shares / shares.sum()
    return result


def _priors() -> Array:
    """Return the weights known beforehand, features by roles."""
    tables = tomllib.loads(resources.files(__package__).joinpath("priors.toml").read_text("utf-8"))
    return np.array([[tables[role].get(name, 0.0) for role in TEXT_ROLES] for name in NAMES])


def _free() -> Array:
    """Return 1 for each feature that data sets may teach, 0 for those in which they differ by how they were made."""
    tables = tomllib.loads(resources.files(__package__).joinpath("priors.toml").read_text("utf-8"))
    return np.array([float(name not in tables["held"]["features"]) for name in NAMES])


def _warmth(logits: Array, labels: NDArray[np.int64], weights: Array) -> float:
    """Return by what log-odds have to be divided to be least surprised by the labels."""
    at = np.arange(len(labels))
    losses = [-(weights * np.log(softmax(logits / warmth)[at, labels] + 1e-9)).sum() for warmth in _WARMTHS]
    return float(_WARMTHS[int(np.argmin(losses))])


if __name__ == "__main__":
    main()
