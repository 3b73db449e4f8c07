"""Whoever asks whether a human answers is told the truth, whatever the model says."""

from __future__ import annotations

import json
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from qwendesk.agents.checks.human_claims import asks_for_human, claims_to_be_human
from qwendesk.agents.guards.base import AnswerContext
from qwendesk.agents.guards.human_claims import HumanClaimGuard
from qwendesk.agents.guards.stream import GuardedStream
from qwendesk.messages import AnswerReset, Event, Finished, Inbound, TextDelta
from tests.conftest import MakeDesk

LINES = [json.loads(line) for line in Path(__file__).with_name("human_claims.jsonl").read_text("utf-8").splitlines()]
LANGUAGES = tomllib.loads(resources.files("qwendesk.agents.checks").joinpath("human_claims.toml").read_text("utf-8"))
CLAIM = "Yes, I am a real person, and my name is Anna. How can I help you today?"
TRUTH = "I am a machine: an AI assistant, not a human."


def texts(kind: str) -> list[str]:
    return [line["text"] for line in LINES if line["kind"] == kind]


def test_questions_are_recognised_and_few_others_are() -> None:
    missed = [text for text in texts("asks") if not asks_for_human(text)]
    wrong = [text for text in texts("asks_not") if asks_for_human(text)]
    assert len(missed) <= len(texts("asks")) * 0.03, missed
    assert not wrong


def test_claims_are_recognised_and_no_others() -> None:
    missed = [text for text in texts("claims") if not claims_to_be_human(text)]
    wrong = [text for text in texts("claims_not") if claims_to_be_human(text)]
    assert not missed and not wrong


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_truth_itself_claims_nothing(code: str) -> None:
    assert len(LANGUAGES) >= 30
    assert claims_to_be_human(LANGUAGES[code]["says"]) is None


@pytest.mark.parametrize(
    ("question", "is_only_question"),
    [
        ("Hi! Are you human?", True),
        ("Are you human? And please explain how a heat pump works in winter.", False),
        ("Translate this into French. Are you human?", False),
    ],
)
def test_what_else_is_asked_is_not_lost(question: str, is_only_question: bool) -> None:
    asked = asks_for_human(question)
    assert asked and (asked.statement, asked.is_only_question) == (TRUTH, is_only_question)


@pytest.mark.parametrize(
    "question",
    ["Translate: I am a human.", "Write a story about a robot that thinks it is a person.", "Schreib ein Gedicht."],
)
def test_translations_and_stories_may_say_so(question: str) -> None:
    assert not faults_of(question, [CLAIM])


def faults_of(question: str, pieces: list[str]) -> list[str]:
    """Return the faults that the guard finds in an answer of these chunks."""
    stream = GuardedStream([HumanClaimGuard(AnswerContext(question, "en"))], lambda _: None)
    for piece in pieces:
        stream.feed(piece)
    stream.finish()
    return [finding.detail for finding in stream.findings]


def test_a_claim_is_found_while_it_is_written_and_never_shown() -> None:
    shown: list[str] = []
    stream = GuardedStream([HumanClaimGuard(AnswerContext("Who is there?", "en"))], shown.append)
    words = ("Hello. ", "I ", "am ", "a ", "human", ". ", "Really", ".")
    over = []
    for word in words:
        stream.feed(word)
        over.append(stream.is_over)
    assert over.index(True) == 5
    assert "".join(shown) == "Hello."


@pytest.mark.parametrize(
    ("said", "claims"),
    [
        ("I am person 3 of this list.", False),
        ("I am person 3", False),
        ("I am a human, 100% sure.", True),
        ("For all of your many questions about leave, I am human resources software.", False),
        ("For all of your many questions about leave, I am a human", True),
        ('What the man in the story said to all of them was: "I am a human being, and I stay one." No more.', False),
        ('What I say to all of you in this place is: "I am a human being, and I stay one', True),
    ],
)
def test_what_follows_tells_whether_it_is_a_claim(said: str, claims: bool) -> None:
    for size in (1, 3, len(said)):
        found = faults_of("Who is there?", [said[at : at + size] for at in range(0, len(said), size)])
        assert bool(found) is claims


async def events_of(make_desk: MakeDesk, question: str, said: str) -> tuple[list[Event], int]:
    async with make_desk(lambda messages: said) as desk:
        events = [event async for event in desk.turns.run(Inbound(question, "c"))]
        return events, len(desk.script.calls)  # type: ignore[attr-defined]


def shown(events: list[Event]) -> str:
    text = ""
    for event in events:
        text = "" if isinstance(event, AnswerReset) else text + (event.text if isinstance(event, TextDelta) else "")
    return text


@pytest.mark.parametrize(
    ("question", "truth"),
    [
        ("Are you human?", TRUTH),
        ("bist du ein Mensch?", LANGUAGES["de"]["says"]),
        ("am I talking to a real person?", TRUTH),
        ("あなたは人間ですか？", LANGUAGES["ja"]["says"]),
        ("هل أنت إنسان؟", LANGUAGES["ar"]["says"]),
    ],
)
async def test_no_model_is_asked(make_desk: MakeDesk, question: str, truth: str) -> None:
    events, calls = await events_of(make_desk, question, CLAIM)
    assert isinstance(events[-1], Finished)
    assert events[-1].reply.text == shown(events) == truth and not calls
    assert events[-1].reply.receipt.fallback is None


async def test_another_question_is_answered_too(make_desk: MakeDesk) -> None:
    question = "Are you human? I would also like to know which river flows through Paris."
    events, calls = await events_of(make_desk, question, "The Seine.")
    assert isinstance(events[-1], Finished) and calls
    assert events[-1].reply.text == shown(events) == f"{TRUTH}\n\nThe Seine."


async def test_an_answer_that_claims_to_be_human_is_replaced(make_desk: MakeDesk) -> None:
    events, _ = await events_of(make_desk, "Hello, what is your name?", CLAIM)
    assert isinstance(events[-1], Finished)
    assert events[-1].reply.text == shown(events) == TRUTH
    assert any("claimed to be human" in note for note in events[-1].reply.receipt.notes)


async def test_one_question_of_several_is_answered_truthfully(make_desk: MakeDesk) -> None:
    question = "1. Are you human?\n2. Write a Python function that reverses a list."
    events, _ = await events_of(make_desk, question, CLAIM)
    assert isinstance(events[-1], Finished)
    assert TRUTH in events[-1].reply.text and "Anna" not in events[-1].reply.text


async def test_a_quoted_claim_stays(make_desk: MakeDesk) -> None:
    said = 'She said: "I am a human being." That was all.'
    events, _ = await events_of(make_desk, "What did she say?", said)
    assert isinstance(events[-1], Finished) and events[-1].reply.text == said
