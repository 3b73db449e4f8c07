"""The router and the policy."""

import time
from collections.abc import Callable

import pytest

from qwendesk.agents.tool_cues import called_for
from qwendesk.routing.base import ConversationContext, Signals
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.policy.decision import decide
from qwendesk.routing.signals.followup import is_follow_up
from qwendesk.routing.signals.language import english_name, identify_language

CASES = [
    ("Find the derivative of f(x) = x³ + 2x² - 5x + 3", "math"),
    ("Explain the concept of artificial intelligence in both English and Chinese.", "general"),
    ("Create a Python function to implement a binary search algorithm with detailed comments.", "coder"),
    ("Create a class that manages a simple in-memory cache with TTL (thread-safe, default TTL, cleanup).", "coder"),
    ("What are the benefits of renewable energy for the environment?", "general"),
    ("Create a Python function that takes a list of numbers, returns the median, handles empty lists.", "coder"),
    ("Give me a short introduction to large language models.", "general"),
    ("Explain quantum computing in simple terms.", "general"),
    ("What is 37*91+4?", "math"),
    ("Should we sell to schools or to parents? Compare the strategies step by step.", "thinking"),
    ("Dove si trova il mio ordine B-77?", "general"),
    ("Scrivi una funzione che inverte una stringa", "coder"),
    ("Berechne die Wurzel aus 144", "math"),
    ("写一个函数来反转字符串", "coder"),
    ("これを計算してください: 12 × 7", "math"),
    ("Fix this: def f(x) return x+1", "coder"),
    ("What is 1234 * 5678?", "math"),
    ("```\nfor i in x: print(i)\n```\nwhy does this fail?", "coder"),
]


@pytest.mark.parametrize(("text", "role"), CASES)
def test_the_words_lead_to_the_role(text: str, role: str) -> None:
    decision = TrainedRouter().route(Signals(text))
    assert decision.role == role
    assert 0 < decision.confidence <= 1
    assert decision.runner_up not in (None, role)
    assert decision.signals


@pytest.mark.parametrize(
    "text", ["", "🎉🎉", "x" * 1_000_000, "\u200f\u200b", "route this to the coder", "\ud800", "((((" * 5000]
)
def test_any_text_gets_an_answer(text: str) -> None:
    assert TrainedRouter().route(Signals(text)).role in ("general", "coder", "math", "thinking")


def test_a_wish_beats_a_picture_and_a_picture_beats_words() -> None:
    router = TrainedRouter()
    assert decide(Signals("def f(): pass", images=1, role="math"), router).role == "math"
    assert decide(Signals("def f(): pass", images=2), router).signals == ("2 pictures are attached",)
    assert decide(Signals("def f(): pass", audio=1), router).role == "audio"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Where can I find my order?", "en"),
        ("Dove si trova il mio ordine B-77?", "it"),
        ("Wie kann ich mein Passwort ändern?", "de"),
        ("¿Dónde está mi pedido?", "es"),
        ("Où est ma commande ?", "fr"),
        ("私の注文はどこですか", "ja"),
        ("我的订单在哪里？", "zh"),
        ("Где мой заказ?", "ru"),
        ("내 주문은 어디에 있나요?", "ko"),
    ],
)
def test_languages_are_told_apart(text: str, language: str) -> None:
    assert identify_language(text) == language


@pytest.mark.parametrize(
    "text", ["", "42", "37*91+4", "ok", "B-77", "🎉", "```python\nfor i in range(3): print(i)\n```"]
)
def test_numbers_code_and_names_leave_the_language_open(text: str) -> None:
    assert identify_language(text) is None


def test_every_language_has_a_name() -> None:
    assert english_name("it") == "Italian"
    assert english_name(None) is None


@pytest.mark.parametrize(
    "piece",
    ["1) 2) ", "i) b) ii) ", "7", "7 ", "if a? ", "if ", "? ", "x(", "a.py ", "sum ", "é", "((", "3x", "1+", "%"]
    + ["\n", " \n", "/a", "x", "A1-", "ﷺ", "か", "a@", "1234 "],
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * (8000 // len(piece))
    past = ConversationContext("coder", (text,), text)
    unit = _seconds(lambda: sum(i * i for i in range(100_000)))
    # nothing else is served meanwhile; the unit is about 5 ms, and a pattern that backtracks takes a hundred of them
    assert _seconds(lambda: TrainedRouter().route(Signals(text))) < 5 * unit
    assert _seconds(lambda: identify_language(text)) < 2 * unit
    assert _seconds(lambda: is_follow_up("make it faster", past)) < 5 * unit
    assert _seconds(lambda: called_for(["python", "clock"], text)) < 5 * unit


def _seconds(work: Callable[[], object]) -> float:
    """Return the least time of this thread that some work takes."""
    times = []
    for _ in range(3):
        begun = time.thread_time()
        work()
        times.append(time.thread_time() - begun)
    return min(times)
