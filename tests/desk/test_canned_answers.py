"""A canned answer is given before a model is asked, to its questions only, in the customer's language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk import Desk, Settings
from qwendesk.desk.interpreter.canned import CannedAnswers, CannedText
from qwendesk.desk.turns.canned_answers import is_same_question, question_words
from qwendesk.engines.scripted import ScriptedEngine


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    engine = ScriptedEngine(lambda messages: "A model wrote this.")
    async with Desk(Settings(home=tmp_path, engine="scripted"), engines={"scripted": engine}) as opened:
        canned = CannedAnswers(opened.memory.scope)
        questions = ["What are your opening hours?", "When do you open on day 1?"]
        await canned.add("hours", "en", "We are open from **9 to 5**.", questions)
        await canned.add("returns", "de", "30 Tage lang.", ["Wie lange kann ich etwas zurückgeben?"])
        yield opened


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What are your opening hours?", "We are open from **9 to 5**."),
        ("Hello, what are your opening hours please", "We are open from **9 to 5**."),
        ("WHAT ARE YOUR OPENNING HOURS???", "We are open from **9 to 5**."),
        ("wie lange kann ich etwas zuruckgeben", "30 Tage lang."),
    ],
)
async def test_a_sample_question_has_its_answer(desk: Desk, question: str, answer: str) -> None:
    reply = await desk.ask(question)
    assert reply.text == answer and reply.receipt.answered_by == "a canned answer"
    assert reply.receipt.tokens_out == 0


@pytest.mark.parametrize(
    "question",
    [
        "What are your opening hours on Sunday?",
        "What are not your opening hours?",
        "When do you open on day 2?",
        "Write a poem about your opening hours",
        "Wie lange kann ich etwas nicht zurückgeben?",
        "Quali sono i vostri orari di apertura?",
    ],
)
async def test_another_question_goes_to_the_model(desk: Desk, question: str) -> None:
    assert "A model wrote this." in (await desk.ask(question)).text


async def test_a_translation_answers_once_a_person_has_read_it(tmp_path: Path) -> None:
    engine = ScriptedEngine(lambda messages: "Lo ha scritto un modello.")
    async with Desk(Settings(home=tmp_path, engine="scripted"), engines={"scripted": engine}) as desk:
        canned = CannedAnswers(desk.memory.scope)
        added = await canned.add("hours", "en", "From 9 to 5.", ["What are your opening hours?"])
        translated = CannedText("it", "Dalle 9 alle 17.", ("Quali sono i vostri orari di apertura?",), "machine")
        await canned.put_translation("hours", added.version, translated)
        assert "modello" in (await desk.ask("Quali sono i vostri orari di apertura?")).text
    async with Desk(Settings(home=tmp_path, engine="scripted"), engines={"scripted": engine}) as desk:
        right = ["Quali sono i vostri orari di apertura?"]
        await CannedAnswers(desk.memory.scope).review("hours", "it", "ada", questions=right)
        assert (await desk.ask("Quali sono i vostri orari di apertura?")).text == "Dalle 9 alle 17."


def test_words_of_a_question() -> None:
    assert question_words("Hi! Thanks, bye") != []
    assert is_same_question(question_words("返品できますか"), question_words("返品できますか？"))
    assert not is_same_question(question_words("返品できますか"), question_words("返品できませんか"))


@pytest.mark.parametrize(
    ("asked", "sample"),
    [
        ("Do you ship to Austria?", "Do you ship to Australia?"),
        ("Are you open on Tuesday?", "Are you open on Thursday?"),
        ("How do I change my contact?", "How do I change my contract?"),
        ("What is the quantity?", "What is the quality?"),
        ("Do you ship to Niger?", "Do you ship to Nigeria?"),
        ("How does shopping work?", "How does shipping work?"),
        ("How much is -10?", "How much is 10?"),
        ("How much is −10?", "How much is +10?"),
        ("Do I get 10%?", "Do I get 10?"),
        ("Does it cost 10 €?", "Does it cost $ 10?"),
        ("What is 10-5?", "What is 10+5?"),
        ("Is C++ supported?", "Is C supported?"),
        ("Is C# supported?", "Is C++ supported?"),
        ("Is .NET supported?", "Is net supported?"),
        ("Liefern Sie am Dienstag?", "Liefern Sie am Donnerstag?"),
        ("Wie ist die Bestellung zu ändern?", "Wie ist die Bestallung zu ändern?"),
        ("Livrez-vous en Autriche ?", "Livrez-vous en Australie ?"),
        ("¿Cómo cambio el contacto?", "¿Cómo cambio el contrato?"),
        ("Posso reservar às terças?", "Posso reservar às quintas?"),
        ("Avete un cappello?", "Avete un capello?"),
        ("Доставляете в Австрию?", "Доставляете в Австралию?"),
        ("Чи відкрито у вівторок?", "Чи відкрито у четвер?"),
        ("هل تشحنون إلى النيجر", "هل تشحنون إلى نيجيريا"),
        ("オーストリアに発送しますか", "オーストラリアに発送しますか"),
        ("오스트리아로 배송하나요", "오스트레일리아로 배송하나요"),
    ],
)
def test_other_words_and_signs_are_another_question(asked: str, sample: str) -> None:
    language = "it" if "capello" in sample else None
    for one, other in ((asked, sample), (sample, asked)):
        assert not is_same_question(question_words(one), question_words(other), (), language)


@pytest.mark.parametrize(
    ("asked", "sample"),
    [
        ("what are your oepning huors", "What are your opening huors?"),
        ("wie lange ist die Lieferrung", "Wie lange ist die Lieferung?"),
        ("hilft der Kundenserivce", "Hilft der Kundenservice?"),
        ("где моя посылкка", "Где моя посылка?"),
        ("Is C++ supported", "Is C++ supported?"),
        ("how much is - 10 ?", "How much is −10?"),
    ],
)
def test_slips_of_typing_are_the_same_question(asked: str, sample: str) -> None:
    assert is_same_question(question_words(asked), question_words(sample))


def test_a_word_of_another_sample_question_is_no_slip() -> None:
    casual, causal = question_words("Is it casual wear?"), question_words("Is it causal wear?")
    assert not is_same_question(causal, casual, {*casual, *causal})
