"""Training with one's own examples, and the router it gives: put in place, preferred, taken back."""

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qwendesk.errors import ConfigError
from qwendesk.routing.base import Signals
from qwendesk.routing.classifier.classifier import (
    ARTEFACT,
    Classifier,
    install_classifier,
    load_classifier,
    load_installed,
    read_classifier,
    restore_previous,
)
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.training.dataset import LabelledQuestion, load_questions
from qwendesk.routing.training.refit import TOLERANCE, RefitMetrics, RefitResult, refit

pytestmark = pytest.mark.slow

GOOD = RefitMetrics(0.87, 0.92, 0.05, 0.5)
SAMPLE = load_questions()[::8]


def leaning(role_column: int) -> Classifier:
    """Return a classifier that sends everything to one domain."""
    classifier = load_classifier()
    offsets = classifier.domain.offsets.copy()
    offsets[role_column] += 100
    return replace(classifier, domain=replace(classifier.domain, offsets=offsets))


def test_own_examples_are_learned_and_the_rest_is_kept() -> None:
    own = [
        LabelledQuestion(f"Please check the flurbo number {n} of my gizmo", "thinking", "en", f"g{n}")
        for n in range(12)
    ]
    result = refit(own, SAMPLE)
    assert result.examples == 12
    assert (result.before.own, result.after.own) == (0, 1)
    assert TrainedRouter(result.classifier).route(Signals(own[0].text)).role == "thinking"
    assert result.as_dict()["before"]["accuracy"] == result.before.accuracy > 0.5


def test_the_base_is_judged_by_its_own_questions_only() -> None:
    wrong = [replace(question, label="math", group=f"w{n}") for n, question in enumerate(SAMPLE[: len(SAMPLE) // 3])]
    harmed = refit(wrong, SAMPLE)
    assert harmed.after.accuracy < harmed.before.accuracy - TOLERANCE["accuracy"]
    assert harmed.losses


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (GOOD, []),
        (replace(GOOD, accuracy=GOOD.accuracy - TOLERANCE["accuracy"] + 1e-6), []),
        (replace(GOOD, accuracy=0.86), ["accuracy falls from 0.870 to 0.860"]),
        (replace(GOOD, ece=0.07), ["the calibration error rises from 0.050 to 0.070"]),
    ],
)
def test_a_loss_beyond_the_tolerance_is_told(after: RefitMetrics, said: list[str]) -> None:
    assert RefitResult(load_classifier(), 1, GOOD, after).losses == said


def test_an_installed_router_is_preferred_and_taken_back_step_by_step(tmp_path: Path) -> None:
    def role() -> str:
        return TrainedRouter(folder=tmp_path).route(Signals("Where is my order?")).role

    assert role() == "general"
    install_classifier(leaning(1), tmp_path)
    assert role() == "coder"
    install_classifier(leaning(2), tmp_path)
    assert role() == "math"
    assert "before the last" in restore_previous(tmp_path)
    assert role() == "coder"
    assert "ships" in restore_previous(tmp_path)
    assert role() == "general"
    assert "no earlier router" in restore_previous(tmp_path)
    assert list(tmp_path.iterdir()) == []


def _broken(kind: str, file: Path) -> None:
    load_classifier().save(file)
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays}
    changes = {
        "names": {"names": np.array(["other"])},
        "shape": {"domain": kept["domain"][:5]},
        "nan": {"domain": kept["domain"] * np.nan},
        "scale": {"scale": kept["scale"] * 0},
        "code": {"mean": np.array([print], dtype=object)},
    }
    if kind in changes:
        np.savez(file, **kept | changes[kind])
    elif kind == "missing":
        del kept["temperatures"]
        np.savez(file, **kept)
    else:
        file.write_bytes({"empty": b"", "text": b"hello", "torn": file.read_bytes()[:5000]}[kind])


@pytest.mark.parametrize("kind", ["names", "shape", "nan", "scale", "code", "missing", "empty", "text", "torn"])
def test_a_router_that_does_not_hold_is_not_used(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / ARTEFACT
    _broken(kind, file)
    with pytest.raises(ConfigError, match="--undo"):
        read_classifier(file)
    with caplog.at_level(logging.WARNING):
        assert load_installed(tmp_path) is load_classifier()
    assert "ships with Qwendesk is used" in caplog.text
