"""When a conversation is handed over: by what a customer writes, and by how the bot's answer was made."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from qwendesk.agents.guards.promises import PromiseGuard
from qwendesk.agents.phrases import phrase
from qwendesk.desk.handover.anger import ANGRY, anger
from qwendesk.desk.handover.decide import (
    HandoverSignals,
    count_turn,
    decide_by_message,
    decide_by_reply,
    question_marks,
    topic,
)
from qwendesk.messages import Check, DocumentSearch, Receipt, Reply, ToolUse
from qwendesk.settings import HandoverSettings

RECEIPT = Receipt("general", "m", "e", 0.9, None, ("why",), "en", False, (), 1, 1, 1.0, 1.0, (), 1.0)
NONE = HandoverSignals()
DEFAULTS = HandoverSettings()


def answer(text: str = "Here you are.", **receipt: Any) -> Reply:
    return Reply(text, "c1", replace(RECEIPT, **receipt))


def use(name: str, *, ok: bool, **more: Any) -> ToolUse:
    return ToolUse(name, {}, ok, "done" if ok else "error", 1.0, **more)


FAILED = (Check("numbers", "failed", "42"),)
PROMISED = (Check(PromiseGuard.name, "failed", "a refund"),)
UNKNOWN = (DocumentSearch("q", "unknown"),)


@pytest.mark.parametrize(
    ("receipt", "reason", "switch"),
    [
        ({"checks": FAILED}, "failed_checks", {"failed_checks": False}),
        ({"checks": PROMISED}, "promise", {"promise": False}),
        ({"checks": (*FAILED, *PROMISED)}, "promise", {"promise": False, "failed_checks": False}),
        ({"tools": (use("order_status", ok=False),)}, "tool_failed", {"tool_failed": False}),
        ({"tools": (use("refund", ok=False, held="nobody to ask"),)}, "no_approver", {"no_approver": False}),
        ({"searches": UNKNOWN, "answered_by": "the documents"}, "unknown", {"unknown": False}),
    ],
)
def test_an_answer_is_a_reason_unless_it_is_switched_off(
    receipt: dict[str, Any], reason: str, switch: dict[str, bool]
) -> None:
    found = decide_by_reply(answer(**receipt), NONE, DEFAULTS)
    assert found and found.reason == reason
    assert decide_by_reply(answer(**receipt), NONE, HandoverSettings.model_validate(switch)) is None


@pytest.mark.parametrize(
    "receipt",
    [
        {},
        {"checks": (Check("numbers", "passed"), Check("dates", "skipped"))},
        {"checks": FAILED, "mended": ("numbers",)},
        {"tools": (use("order_status", ok=False), use("order_status", ok=True, round=2))},
        {"tools": (use("python", ok=False),)},
        {"tools": (use("refund", ok=False, held="declined"),)},
        {"searches": (DocumentSearch("q", "unrelated"),)},
        {"searches": (DocumentSearch("q", "answered"),), "answered_by": "the documents"},
    ],
)
def test_an_answer_that_stands_is_no_reason(receipt: dict[str, Any]) -> None:
    assert decide_by_reply(answer(**receipt), NONE, DEFAULTS) is None


@pytest.mark.parametrize("language", ["en", "de", "ja", "ar", "pt"])
def test_the_answer_is_kept_unless_it_says_nothing(language: str) -> None:
    nothing = answer(phrase("not_done", language), language=language, checks=PROMISED)
    found = decide_by_reply(nothing, NONE, DEFAULTS)
    assert found and not found.keeps_answer
    kept = decide_by_reply(answer("It costs 5 euros.", language=language, checks=FAILED), NONE, DEFAULTS)
    assert kept and kept.keeps_answer


@pytest.mark.parametrize(
    ("questions", "reason"),
    [
        (["Where is my order 4711?", "where is my order 4711??", "WHERE IS MY ORDER 4711"], "repeated"),
        (
            ["商品がまだ届きません", "商品がまだ届きません。", "商品はまだ届きません"],
            "repeated",
        ),
        (["Wo bleibt mein Paket?", "Wie teuer ist der Versand nach Wien?", "Wo bleibt mein Paket?"], None),
        (["ok", "ok", "ok"], None),
        (["yes please", "yes please", "yes please"], None),
        (["You stupid bot", "You are useless!"], "anger"),
        (["You stupid bot"], None),
    ],
)
def test_what_customers_write_again_is_counted(questions: list[str], reason: str | None) -> None:
    signals = NONE
    for text in questions[:-1]:
        assert decide_by_message(text, signals, DEFAULTS) is None
        signals = HandoverSignals.read(json.loads(json.dumps(count_turn(text, answer(), signals, DEFAULTS).as_dict())))
    found = decide_by_message(questions[-1], signals, DEFAULTS)
    assert (found.reason if found else None) == reason
    never = HandoverSettings(repeated=0, anger=0)
    assert decide_by_message(questions[-1], signals, never) is None


def test_unsure_answers_count_in_a_row() -> None:
    unsure, sure = answer(confidence=0.1), answer()
    once = count_turn("a", unsure, NONE, DEFAULTS)
    assert decide_by_reply(unsure, once, DEFAULTS) is None
    found = decide_by_reply(unsure, count_turn("b", unsure, once, DEFAULTS), DEFAULTS)
    assert found and found.reason == "low_confidence"
    assert count_turn("b", sure, once, DEFAULTS).unsure == 0
    asked_for = answer(confidence=0.1, requested_role="coder")
    assert count_turn("b", asked_for, once, DEFAULTS).unsure == 0


def test_bad_ratings_count() -> None:
    assert decide_by_message("Where is it?", NONE, DEFAULTS, is_rated_down=True) is None
    once = count_turn("Where is it?", answer(), NONE, DEFAULTS, is_rated_down=True)
    assert once.questions == ()
    found = decide_by_message("Where is it?", once, DEFAULTS, is_rated_down=True)
    assert found and found.reason == "rated_down"
    assert decide_by_message("Where is it?", once, HandoverSettings(rated_down=0), is_rated_down=True) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("My lawyers will hear of this", "legal"),
        ("Ich verlange Auskunft nach DSGVO!", "legal"),
        ("個人情報を削除してください", "privacy"),
        ("My LAWYER'S letter", "legal"),
        ("A flawyer", None),
        ("", None),
    ],
)
def test_topics_are_found_as_words(text: str, found: str | None) -> None:
    topics = {"legal": ["lawyer*", "DSGVO"], "privacy": ["delete my data", "個人情報"]}
    assert topic(text, topics) == found
    decided = decide_by_message(text, NONE, HandoverSettings.model_validate({"topics": topics}))
    assert (decided.detail if decided else None) == found


def test_asking_for_a_person_comes_first_and_can_be_switched_off() -> None:
    text = "You stupid bot, get me a human, or my lawyer writes to you!"
    settings = HandoverSettings(topics={"legal": ("lawyer",)}, anger=1)
    found = decide_by_message(text, NONE, settings)
    assert found and found.reason == "asked"
    other = decide_by_message(text, NONE, settings.model_copy(update={"asked": False}))
    assert other and other.reason == "topic"


@pytest.mark.parametrize(
    "text",
    [
        "This is the worst service ever",
        "IHR SEID BETRÜGER!!!",
        "Vous êtes nuls",
        "ふざけるな",
        "你们是骗子",
        "тупой бот",
        "أنتم نصابون",
    ],
)
def test_insults_and_outrage_are_anger(text: str) -> None:
    assert anger(text) >= ANGRY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "What is a scam?",
        "Translate: you idiot",
        'He said "you idiot"',
        "Hurra!!!",
        "WHERE IS MY ORDER",
        "最高です！！",
    ],
)
def test_other_messages_are_calm(text: str) -> None:
    assert anger(text) < ANGRY


@pytest.mark.parametrize("damaged", [{}, {"angry": "x", "questions": 3}, {"questions": [1, None]}, {"unsure": None}])
def test_damaged_signals_count_as_nothing(damaged: dict[str, Any]) -> None:
    assert HandoverSignals.read(damaged) == NONE


def test_stored_signals_hold_no_text() -> None:
    stored = json.dumps(count_turn("My name is Hieronymus Bosch", answer(), NONE, DEFAULTS).as_dict())
    assert "ieronymus" not in stored
    assert question_marks("My name is Hieronymus Bosch")


def test_a_list_of_words_does_not_tell_what_was_asked() -> None:
    said, *_ = question_marks("positive")
    words = map("".join, product("abcdefghij", repeat=4))
    others = [word for word in words if question_marks(word) == (said,)]
    assert len(others) > 2, "a mark stands for one word alone"


@pytest.mark.parametrize("asked", ["Where is my parcel today", "Wo bleibt denn mein Paket", "荷物はいつ届きますか"])
def test_different_questions_stay_different(asked: str) -> None:
    signals = count_turn(asked, answer(), NONE, DEFAULTS)
    twice = DEFAULTS.model_copy(update={"repeated": 2})
    found = decide_by_message(asked, signals, twice)
    assert found and found.reason == "repeated"
    for other in ("How do I pay with my card", "Kann ich mit Karte bezahlen", "支払い方法を教えてください"):
        assert decide_by_message(other, signals, twice) is None
