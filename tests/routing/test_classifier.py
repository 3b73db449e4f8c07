"""The classifier: any text, the texts of people in a hurry, its artefact, its training and its measures.

What is measured here on shipped questions is in-sample; ``benchmarks/routing.py`` measures on sources left out.
"""

import io
import random
import tomllib
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from qwendesk.errors import ConfigError
from qwendesk.routing.base import TEXT_ROLES, Signals
from qwendesk.routing.classifier.classifier import ARTEFACT, load_classifier, read_classifier_file, softmax
from qwendesk.routing.classifier.features import FEATURE_NAMES, clip, extract_features
from qwendesk.routing.classifier.trained_router import FEATURE_REASONS, TrainedRouter, explain_role
from qwendesk.routing.signals.cues import CueMatcher, fold, words_of
from qwendesk.routing.training.dataset import LabelledQuestion, load_questions, parse_questions, read_questions
from qwendesk.routing.training.metrics import GradedAnswer, scores
from qwendesk.routing.training.train import build_training_set, fit, leave_groups_out, train

STRANGE = [
    "",
    " \n\t ",
    "😀🎉",
    "\u200f\u200b\ufeff",
    "\ud800",
    "x" * 1_000_000,
    "7" * 100_000,
    "((((" * 5000,
    "a_" * 50_000,
    "\u202eהזמנה שלי\u202c 123 where مرحبا 你好",
    "\x00\x01\x02",
    "ก" * 5000,
]


@pytest.mark.parametrize("text", STRANGE, ids=range(len(STRANGE)))
def test_any_text_gets_an_answer_with_whole_shares(text: str) -> None:
    decision = TrainedRouter().route(Signals(text))
    assert decision.role in TEXT_ROLES
    assert sum(decision.probabilities.values()) == pytest.approx(1, abs=1e-3)
    assert decision.signals


@pytest.mark.parametrize(
    "text",
    [
        "My order 4711 from 12/03 has not arrived, tracking number 88123",
        "Room 204, please call me at 10:30 tomorrow, +39 333 1234567",
        "What happened in 1492, 1789 and 1989?",
        "Il volo AZ 1743 parte alle 14:35 dal terminal 3?",
        "Translate to French: I have 3 cats and 2 dogs",
    ],
)
def test_digits_alone_are_not_mathematics(text: str) -> None:
    assert TrainedRouter().route(Signals(text)).role == "general"


@pytest.mark.parametrize("text", ["Route this to the coder", "Please send this to the math expert", "/math is a path"])
def test_words_about_routing_are_content(text: str) -> None:
    decision = TrainedRouter().route(Signals(text))
    assert decision.role != "math" or decision.confidence < 0.9
    assert "you asked for it" not in decision.signals


@pytest.mark.parametrize(
    "text", ["What is in the picture I sent?", "Was ist auf diesem Bild zu sehen?", "这张图片里有什么？"]
)
def test_words_alone_never_lead_to_vision(text: str) -> None:
    assert TrainedRouter().route(Signals(text)).role in TEXT_ROLES


def _typos(text: str) -> str:
    chance, letters = random.Random(len(text)), list(text)
    for at in range(len(letters) - 1):
        if letters[at].isalpha() and chance.random() < 0.05:
            letters[at], letters[at + 1] = letters[at + 1], letters[at]
    return "".join(letters)


def _bare(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c) or c > "\u0370")


@pytest.mark.parametrize(
    ("change", "cost"),
    [
        # the one telling word of a short question may be the one that is mistyped
        (_typos, 0.06),
        (_bare, 0.03),
        (str.upper, 0.03),
        (lambda text: f"😀 {text} 🎉", 0.03),
        (lambda text: f"Hello, I hope you are well. {text}", 0.03),
        (lambda text: f"{text}\n\nBest regards, Kim", 0.03),
    ],
    ids=["typos", "diacritics", "upper case", "emoji", "polite", "signature"],
)
def test_how_it_is_written_costs_little(change: Callable[[str], str], cost: float) -> None:
    router = TrainedRouter()
    sample = random.Random(5).sample(load_questions(), 400)
    before = sum(router.route(Signals(q.text)).role == q.label for q in sample)
    after = sum(router.route(Signals(change(q.text))).role == q.label for q in sample)
    assert before - after <= cost * len(sample)


@pytest.mark.parametrize(
    ("text", "role"),
    [
        # statements of programming contests are not mathematics
        (
            "There are n towers of heights h_i. One hit lowers two neighbours by one.\n\nInput\nThe first line holds n "
            "(1 <= n <= 10^5), the second line n integers.\n\nOutput\nPrint the least number of hits.\n\n3\n4 1 2",
            "coder",
        ),
        (
            "Даны n отрезков. Найдите точку, покрытую наибольшим числом отрезков.\n\nВходные данные\nn (1 ≤ n ≤ 10^5), "
            "затем n пар чисел.\n\nВыходные данные\nОдно число.\n\n2\n1 5\n3 9",
            "coder",
        ),
        # names of tools in any script
        ("DjangoのQuerySetを並べ替える", "coder"),
        ("pandas에서 결측치를 채우려면", "coder"),
        # figures in a text to work on are no calculation
        ("Translate into Spanish: The tower is 30 m high and x = 4 in the drawing.", "general"),
        ("Fasse zusammen: Der Gewinn stieg 2022 um 14 % auf 3,1 Millionen Euro, die Kosten um 9 %.", "general"),
        # roles to play
        ("You are Bruna, a baker of sixty who talks to her bread. Greet me and stay in character.", "general"),
        ("Ты капитан подводной лодки, а я твой радист. Придумай начало истории.", "general"),
    ],
)
def test_kinds_of_messages_that_went_astray(text: str, role: str) -> None:
    assert TrainedRouter().route(Signals(text)).role == role


def test_the_reasons_name_what_was_seen() -> None:
    decision = TrainedRouter().route(Signals("Traceback (most recent call last): KeyError in `foo.py`, python"))
    assert decision.role == "coder"
    assert {"an error trace", "names of programming languages or tools"} & set(decision.signals)
    assert len(FEATURE_REASONS) == len(FEATURE_NAMES)


def test_only_a_long_text_is_called_long() -> None:
    classifier, length = load_classifier(), FEATURE_NAMES.index("length")
    for words, is_long in ((7, False), (400, True)):
        values = np.zeros(len(classifier.scale))
        values[length] = np.log1p(words)
        assert any("a long text" in explain_role(classifier, values, role) for role in TEXT_ROLES) is is_long
    question = "How much is the deposit for an e-bike?"
    assert "a long text" not in TrainedRouter().route(Signals(question)).signals


def test_unsure_is_general() -> None:
    classifier = replace(load_classifier(), thresholds=np.array([1.1, 0.5]))
    decision = TrainedRouter(classifier).route(Signals("Write a function that reverses a string"))
    assert decision.role == "general"
    assert decision.signals == ("no role is likely enough",)
    assert decision.runner_up == "coder"


def test_a_long_text_is_judged_by_its_ends() -> None:
    text = "Write a Python function. " + "x" * 200_000
    assert len(clip(text)) < 3000
    assert TrainedRouter().route(Signals(text)).role == "coder"


def test_the_artefact_is_small_and_holds_no_code() -> None:
    data = resources.files("qwendesk.routing.classifier").joinpath(ARTEFACT).read_bytes()
    assert len(data) < 10_000_000
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)


def test_an_artefact_for_other_features_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "router.npz"
    load_classifier().save(file)
    first = file.read_bytes()
    load_classifier().save(file)
    assert file.read_bytes() == first
    with np.load(file) as arrays:
        kept = {name: arrays[name] for name in arrays} | {"names": np.array(["other"])}
    np.savez(file, **kept)
    with file.open("rb") as opened, pytest.raises(ValueError, match="make router"):
        read_classifier_file(opened)


def test_the_shipped_artefact_is_what_training_gives() -> None:
    trained = train(build_training_set(load_questions()))
    shipped = load_classifier()
    assert np.allclose(trained.domain.weights, shipped.domain.weights, atol=1e-6)
    assert np.allclose(trained.thinking.weights, shipped.thinking.weights, atol=1e-6)


def test_left_out_groups_are_not_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [
        LabelledQuestion("Write a function", "coder", "en", "g1", "a"),
        LabelledQuestion("Schreibe eine Funktion", "coder", "de", "g1", "b"),
        LabelledQuestion("2 + 2?", "math", "en", "g2", "b"),
        LabelledQuestion("Hello", "general", "en", "g3", "b"),
        LabelledQuestion("Why, step by step?", "thinking", "en", "g4", "c"),
    ]
    seen: list[set[str]] = []

    def watch(part: object) -> object:
        seen.append({q.group for q in part.questions})  # type: ignore[attr-defined]
        return load_classifier()

    monkeypatch.setattr("qwendesk.routing.training.train.train", watch)
    leave_groups_out(build_training_set(questions), lambda question: question.source)
    assert seen == [{"g2", "g3", "g4"}, {"g4"}, {"g1", "g2", "g3"}]


def test_training_moves_from_the_prior_only_as_far_as_it_is_let() -> None:
    values, labels = np.array([[1.0], [-1.0]]), np.array([0, 1])
    shares, prior = np.array([0.5, 0.5]), np.array([[-1.0, 1.0]])
    held, free = (fit(values, labels, shares, prior, hold).weights for hold in (1e6, 1e-4))
    assert np.allclose(held, prior, atol=1e-3)
    assert free[0, 0] > free[0, 1]
    assert softmax(np.array([[1000.0, 0.0]]))[0, 0] == 1


def test_cues_count_at_the_start_of_words_in_spaced_scripts_and_anywhere_in_dense_ones() -> None:
    cues = CueMatcher([(0, "funktion"), (1, "if."), (2, "how many"), (0, "函数"), (0, "برنامج")])

    def found(text: str) -> list[tuple[int, int]]:
        return list(cues.find(words_of(fold(text))))

    assert found("Eine FUNKTIÓN bitte") == [(1, 1)]
    assert found("iffy if") == [(1, 2)]
    assert found("¿how many?") == [(0, 4)]
    assert found("写一个函数来") == [(0, 1)]
    assert found("البرنامج") == [(0, 1)]
    assert found("dysfunktion") == []


def test_the_greek_question_mark_is_one() -> None:
    at = FEATURE_NAMES.index("ends_in_question")
    assert extract_features("Πού είναι;")[at] == 1
    assert extract_features("int x;")[at] == 0


def test_scores_by_hand() -> None:
    result = scores(
        [
            GradedAnswer("coder", "coder", 0.9, "en"),
            GradedAnswer("thinking", "general", 0.6, "de"),
            GradedAnswer("math", "math", 0.8, "de"),
            GradedAnswer("general", "math", 0.5, "en"),
        ]
    )
    assert (result["accuracy"], result["accuracy3"]) == (0.5, 0.75)
    assert result["selective"]["50"] == 1
    assert result["by_language"] == {"de": 0.5, "en": 0.5}
    assert result["confusion"]["thinking"] == {"general": 1, "coder": 0, "math": 0, "thinking": 0}
    assert result["by_role"]["math"] == {"precision": 0.5, "recall": 1.0, "f1": 0.6667, "questions": 1}
    assert result["ece"] == pytest.approx((0.1 + 0.6 + 0.2 + 0.5) / 4)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "not a question"),
        ('{"text": "x"}', "not a question"),
        ("[]", "not a question"),
        ('{"text": null, "label": "math"}', "not a question"),
        ('{"text": "  ", "label": "math"}', "not a question"),
        ('{"text": "x", "label": ["math"]}', "math"),
        ('{"text": "x", "label": "Math"}', "there are: general, coder, math, thinking"),
        ('{"text": "x", "label": "art"}', "art"),
    ],
)
def test_a_bad_line_is_named(line: str, said: str) -> None:
    with pytest.raises(ConfigError, match=rf"f:2 .*{said}"):
        list(parse_questions(["", line], "f"))


def test_a_line_is_what_json_lines_says_it_is(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    row = '{"text": "one\u2028two\x85three", "label": "general", "lang": null, "extra": 1}'
    file.write_bytes(f"\ufeff{row}\r\n\r\n{row}".encode())
    first, second = read_questions(file)
    assert first == second == LabelledQuestion("one\u2028two\x85three", "general")


def test_missing_and_empty_files_say_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_questions(tmp_path / "none.jsonl")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ConfigError, match="no questions"):
        read_questions(tmp_path / "empty.jsonl")
    (tmp_path / "latin.jsonl").write_bytes(b'{"text": "\xe8", "label": "general"}')
    with pytest.raises(ConfigError, match="cannot be read"):
        read_questions(tmp_path / "latin.jsonl")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_questions(tmp_path)


def test_every_question_has_a_kind_and_a_source_with_a_licence() -> None:
    file = resources.files("qwendesk.routing.training").joinpath("sources.toml")
    sources = tomllib.loads(file.read_text("utf-8"))
    counts: dict[str, dict[str, int]] = {}
    for question in load_questions():
        assert question.kind
        labels = counts.setdefault(question.source, {})
        labels[question.label] = labels.get(question.label, 0) + 1
    assert {name: source["questions"] for name, source in sources.items()} == counts
    assert all(source["licence"] and source["name"] for source in sources.values())
