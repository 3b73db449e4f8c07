"""The answer's language: the one asked for, else the message's; an asked one is checked and repaired once."""

from __future__ import annotations

from typing import Any

import pytest

from qwendesk.agents.checks.answer_language import ANSWER_LANGUAGE, check_answer_language, word_problem_language
from qwendesk.desk.turns.receipt import explain
from qwendesk.messages import AnswerReset, Check, Finished
from tests.conftest import MakeDesk

ENGLISH = "The sky is blue because the air scatters the blue part of the sunlight much more than the red part of it."
FRENCH = "Le ciel est bleu parce que l'air diffuse la partie bleue de la lumière du soleil bien plus que la rouge."
GERMAN = "Der Himmel ist blau, weil die Luft den blauen Teil des Sonnenlichts viel stärker streut als den roten."
ASKED = "Why is the sky blue? Please answer in French."


def compared(reply: Any) -> list[Check]:
    return [check for check in reply.receipt.checks if check.name == ANSWER_LANGUAGE]


@pytest.mark.parametrize(
    ("text", "asked", "outcome", "detail"),
    [
        (FRENCH, "fr", "passed", "asked: French, answer: French"),
        (ENGLISH, "fr", "failed", "asked: French, answer: English"),
        (GERMAN, "en", "failed", "asked: English, answer: German"),
        (f"> {FRENCH}\n\n{ENGLISH}", "fr", "failed", "asked: French, answer: English"),
        (f"| a | b |\n| - | - |\n\n{ENGLISH}", "fr", "failed", "asked: French, answer: English"),
        ("天空是蓝色的，因为空气散射蓝光比红光多得多。", "zh", "passed", "asked: Chinese, answer: Chinese"),
        (
            "空が青いのは、空気が青い光を赤い光よりも散乱させるからです。",
            "zh",
            "failed",
            "asked: Chinese, answer: Japanese",
        ),
        (
            f"{FRENCH}\n\n```python\nprint('the sky is blue and the grass is green')\n```",
            "fr",
            "passed",
            "asked: French, answer: French",
        ),
    ],
)
def test_the_check_names_what_it_compared(text: str, asked: str, outcome: str, detail: str) -> None:
    (check,) = check_answer_language(text, asked)
    assert (check.outcome, check.detail) == (outcome, detail)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Yes.",
        "Bonjour !",
        "3371",
        "John Smith, Mary Jones",
        "```python\nfor name in names:\n    print(name, 'has been found in the list of all the names')\n```",
        f"“{ENGLISH}”",
        f"> {ENGLISH}",
        "https://example.org/the-sky-is-blue-because-the-air-scatters-the-blue-part-of-the-light",
        r"\[ \text{the area of the circle is equal to the product of the radius and the height} \]",
    ],
)
def test_short_answers_code_numbers_names_and_quotations_are_not_compared(text: str) -> None:
    assert check_answer_language(text, "fr") == []


def test_languages_that_are_hard_to_tell_apart_count_as_the_same() -> None:
    danish = "Himlen er blå, fordi luften spreder den blå del af sollyset meget mere end den røde del af det."
    assert [check.outcome for check in check_answer_language(danish, "no")] == ["passed"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (ASKED, "Answer in French only"),
        ("Warum ist der Himmel blau? Auf Italienisch bitte.", "Answer in Italian only"),
        ("天空为什么是蓝色的？用日语回答", "Answer in Japanese only"),
        ("Why is the sky blue?", "Answer in English unless"),
        ("What is the French word for bread?", "Answer in English unless"),
    ],
)
@pytest.mark.parametrize("role", ["general", "thinking", "coder"])
async def test_the_prompt_names_the_language(make_desk: MakeDesk, text: str, wanted: str, role: Any) -> None:
    async with make_desk(["Oui."]) as desk:
        await desk.ask(text, role=role)
    assert wanted in desk.script.calls[0][1][0].text


async def test_the_language_is_asked_for_one_answer(make_desk: MakeDesk) -> None:
    async with make_desk([FRENCH, ENGLISH]) as desk:
        first = await desk.ask(ASKED, conversation="c")
        second = await desk.ask("And why is the grass green?", conversation="c")
    assert "Answer in English unless" in desk.script.calls[1][1][0].text
    assert [check.outcome for check in compared(first)] == ["passed"] and compared(second) == []
    assert first.receipt.language == "en"


async def test_an_answer_in_the_wrong_language_is_written_again_once(make_desk: MakeDesk) -> None:
    async with make_desk([ENGLISH, FRENCH]) as desk:
        events = [event async for event in desk.stream(ASKED, role="general")]
    assert isinstance(events[-1], Finished)
    reply = events[-1].reply
    assert reply.text == FRENCH
    assert [(check.outcome, check.detail) for check in compared(reply)] == [("passed", "asked: French, answer: French")]
    assert reply.receipt.escalation and "asked: French, answer: English" in reply.receipt.escalation
    assert len([event for event in events if isinstance(event, AnswerReset)]) == 1
    again = desk.script.calls[1][1]
    assert again[-2].text == ENGLISH and "again in French" in again[-1].text


async def test_a_second_answer_in_the_wrong_language_stands_and_is_told(make_desk: MakeDesk) -> None:
    async with make_desk([ENGLISH, GERMAN]) as desk:
        reply = await desk.ask(ASKED, role="general")
    assert reply.text == GERMAN
    assert len(desk.script.calls) == 2
    assert [(check.outcome, check.detail) for check in compared(reply)] == [("failed", "asked: French, answer: German")]
    assert "asked: French, answer: German" in explain(reply.receipt.as_dict())


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Write a poem about the sky as Baudelaire would write it", FRENCH),
        ("What is the German translation of: the sky is blue because of the air?", GERMAN),
        ("What does this sign say?", GERMAN),
        ("Can you summarise this? Der Himmel ist blau, weil die Luft den blauen Teil des Lichts streut.", ENGLISH),
        ("Grüße 你好", ENGLISH),
    ],
)
async def test_an_answer_stands_when_no_language_was_asked_for(make_desk: MakeDesk, text: str, answer: str) -> None:
    async with make_desk([answer]) as desk:
        reply = await desk.ask(text, role="general")
    assert reply.text == answer and compared(reply) == []


PROBLEM = "Im Garten stehen 4 Reihen mit je 12 Tulpen, und 9 davon sind verwelkt. Wie viele blühen noch?"
WORKED = (
    "There are four rows of twelve tulips in the garden, and nine of them have withered, so thirty-nine still bloom."
)
GELOEST = "Es sind vier Reihen mit je zwölf Tulpen, also achtundvierzig, und ohne die neun verwelkten blühen noch 39."


async def test_a_word_problem_is_answered_in_its_own_language(make_desk: MakeDesk) -> None:
    async with make_desk([WORKED, GELOEST]) as desk:
        reply = await desk.ask(PROBLEM, role="math")
    assert reply.text == GELOEST
    assert [(check.outcome, check.detail) for check in compared(reply)] == [
        ("passed", "message: German, answer: German")
    ]
    assert "Answer in German only" in desk.script.calls[0][1][0].text
    assert "again in German" in desk.script.calls[1][1][-1].text


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (PROBLEM, "de"),
        ("ジェイクはりんごを13個、桃を8個持っています。全部で果物を何個持っていますか？", "ja"),
        ("У Пети 12 яблок, он отдал 5 яблок сестре. Сколько яблок у него осталось?", "ru"),
        (f"{PROBLEM} Auf Englisch bitte.", None),
        (f"Übersetze das: {PROBLEM}", None),
        (f"„{PROBLEM}“ Stimmt diese Aufgabe?", None),
        (f"Stimmt diese Aufgabe?\n{PROBLEM}", None),
        ("Schreibe die Zahlen 12 und 9 im Spanischen als Wörter, und erkläre, wie man sie schreibt.", None),
        ("How do the French say 97, and how do the Danish say 52 when they count things?", None),
        ("Warum ist der Himmel blau und am Abend manchmal so rot?", None),
        ("12 + 9", None),
    ],
)
def test_only_word_problems_have_a_language_of_their_own(text: str, language: str | None) -> None:
    assert word_problem_language(text) == language


@pytest.mark.parametrize("mark", ["„", "“", "«", "「", "\\(", "\\["])
def test_a_long_text_of_opening_marks_is_compared_in_time(mark: str) -> None:
    text = mark * (60_000 // len(mark)) + ENGLISH
    assert [check.outcome for check in check_answer_language(text, "fr")] in (["failed"], [])
