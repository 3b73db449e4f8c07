"""A customer's wish for a person is recognised in words of many languages; talk about people is none."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import pytest
from benchmarks.handover import Row, written_rows

from qwendesk.desk.handover.wish import wants_person

LANGUAGES = {path.stem for path in Path(str(resources.files("qwendesk.desk"))).joinpath("locales").glob("*.po")}


def share(rows: list[Row]) -> float:
    """Return how many of some messages are taken for a wish."""
    return sum(wants_person(row.text) is not None for row in rows) / len(rows)


def test_wishes_are_recognised_in_every_language_and_other_messages_are_not() -> None:
    rows = written_rows()
    wishes = [row for row in rows if row.wants_person]
    others = [row for row in rows if not row.wants_person]
    assert len({row.language for row in rows}) >= 20
    for code in {row.language for row in rows}:
        assert share([row for row in wishes if row.language == code]) >= 0.75, code
    assert share(wishes) >= 0.95
    assert share(others) <= 0.02


ASKED = {
    "ar": "أريد أن أتحدث مع إنسان.",
    "de": "Ich möchte mit einem Menschen sprechen.",
    "en": "I want to talk to a real person",
    "es": "Necesito que me contacten",
    "fr": "Je veux parler à une personne.",
    "hi": "मैं किसी इंसान से बात करना चाहता हूँ।",
    "it": "Voglio parlare con una persona.",
    "ja": "人と話したいです。",
    "ko": "사람과 이야기하고 싶어요.",
    "nl": "Ik wil met een mens praten.",
    "pl": "Chcę rozmawiać z żywym człowiekiem.",
    "pt": "Quero falar com uma pessoa.",
    "ru": "Переведи на оператора",
    "tr": "Bir insanla konuşmak istiyorum.",
    "uk": "Хочу поговорити з живою людиною.",
    "zh": "我想和真人说话。",
}


def test_every_language_of_the_desks_texts_has_words() -> None:
    assert set(ASKED) == LANGUAGES
    for code, text in ASKED.items():
        found = wants_person(text)
        assert found and found.language == code, text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("I would like to speak to one of your employees, please.", "person"),
        ("HUMAN", "person"),
        ("**human** please", "person"),
        ("could somebody ring me tomorrow morning?", "call"),
        ("is anybody out there", "presence"),
        ("I'm fed up with this bot", "no_bot"),
        ("Könnte ich bitte mit einem richtigen Menschen reden?", "person"),
        ("ich möchte keinen Roboter", "no_bot"),
        ("转人工", "person"),
        ("please transfer me", "person"),
        ("Мені потрібна жива людина, а не бот", "person"),
        ("З оператором з'єднайте мене", "person"),
        ("人間と話させてください", "person"),
        ("أريد التحدث إلى موظف", "person"),
        ("my order is late and nobody answers. Connect me with an agent", "person"),
    ],
)
def test_wish_says_what_is_asked_for(text: str, kind: str) -> None:
    found = wants_person(text)
    assert found is not None
    assert found.kind == kind
    assert found.words


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   \n",
        "?!",
        "\ud800\0",
        "How many humans live on earth?",
        "Write a story about an agent",
        "customer service job interview tips",
        "translate: I want to speak to a manager",
        'She said "I want to speak to a manager" and left',
        "I don't want to speak to a human",
        "`agent please`",
        "are you a human?",
        "Переведи: я хочу поговорить с менеджером",
        "Мені не потрібен оператор",
        "transfer me 500 dollars",
        "Ich brauche keinen Mitarbeiter",
        "human.talk(to='agent')",
        "x" * 100_000,
    ],
)
def test_talk_about_people_is_no_wish(text: str) -> None:
    assert wants_person(text) is None
