"""Each part of a message has something in the answer, or the answer says which part has not."""

import tomllib
from pathlib import Path

import pytest

from qwendesk.agents.checks.answered_parts import find_missing
from qwendesk.routing.signals.asked_language import asked_languages
from tests.conftest import MakeDesk

TABLE = tomllib.loads((Path(__file__).parents[2] / "benchmarks/asked_parts.toml").read_text("utf-8"))
CASES = [(language, question, answers) for lines in TABLE.values() for language, question, *answers in lines]


@pytest.mark.parametrize(("language", "question", "answers"), CASES)
def test_an_answer_to_all_parts_passes(language: str, question: str, answers: list[str]) -> None:
    assert find_missing("\n".join(answers), question, language)[1] == []


def test_nearly_each_omission_is_found() -> None:
    kept = [(answer, question, language) for language, question, answers in CASES for answer in answers]
    missed = [one for one in kept if not find_missing(*one)[1]]
    assert len(missed) <= 1


@pytest.mark.parametrize(
    ("question", "answer", "missing"),
    [
        (
            "Who wrote Faust? And when was the telephone invented?",
            "Goethe wrote Faust.",
            "when was the telephone invented?",
        ),
        ("1. What is 3 + 4?\n2. Name the largest planet.", "1. 7", "Name the largest planet."),
        ("What is 37*91+4, and when do you open?", "We open at nine.", "What is 37*91+4"),
        ("How long is a marathon in miles and kilometres?", "It is 42.2 km long.", "miles"),
        ("Explain in English and French what a proxy is.", "A proxy forwards requests for other computers.", "French"),
        (
            "Explain how tides work and recommend a museum in Hamburg.",
            "The moon pulls the water. It bulges towards the moon. The earth turns below it. So tides come twice.",
            "recommend a museum in Hamburg.",
        ),
    ],
)
def test_the_missing_part_is_named(question: str, answer: str, missing: str) -> None:
    assert [part.removeprefix("And ") for part in find_missing(answer, question, "en")[1]] == [missing]


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is wrong with my printer and how can I fix it?", "The cartridge is empty. Put a new one in, and print."),
        ("Who painted it and when?", "Leonardo da Vinci in 1517."),
        ("Is it far? Can I walk?", "It is 400 m from here, so yes."),
        ("What is the difference between the cat and the dog?", "One meows."),
        ("Tell me about tea and coffee.", "Both contain caffeine."),
        ("Sara mows the lawn when it is dry, and how often she does it depends on rain. How often in May?", "5"),
        ("If Jessa is 20 and Ann is 3 years older, how old is Ann?", "23"),
        ("The road is 5 km and 3 miles long. How long is that in total?", "About 9.8 km."),
        ("What is the capital of France? And of Spain?", "Paris and Madrid."),
        ("Which is bigger, and why? A whale or a bus?", "Which whale do you mean?"),
        ("Write a poem in English about German bread.", "Bread of rye, so dark and warm, rises in the morning storm."),
        ("Compare the height and the weight of both.", "They differ."),
        ("Grüß Gott! Wie geht es Ihnen? Können Sie mir helfen?", "Danke, gut. Gern, worum geht es?"),
        ("How are you? What is the capital of France?", "Paris."),
        ("Can you help me? How long does a parcel to Spain take?", "Three days."),
        ("How far is it to Rome? Please calculate.", "600 km."),
        ("How many eggs are 4 dozen? Explain your reasoning.", "4 * 12 = 48"),
        ("How many eggs are 4 dozen? Show all your work step by step.", "4 * 12 = 48"),
        ("Hello there! I have a question. What is the capital of France? Thank you!", "Paris."),
        (
            "Translate into German: Who are you? Where do you live? What do you want?",
            "Wer bist du? Wo wohnst du? Was willst du.",
        ),
        ('He asked "Who are you? Where do you live?" and left. What is that called?', "Direct speech."),
        ("> Who are you?\n> Where do you live?\nWho may have asked this?", "A neighbour."),
        ("", "Hello."),
    ],
)
def test_a_right_answer_leaves_nothing_out(question: str, answer: str) -> None:
    assert find_missing(answer, question, "en")[1] == []


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("Explain it in both English and Chinese.", ("en", "zh")),
        ("Answer in English, French and German, please.", ("en", "fr", "de")),
        ("Erkläre auf Deutsch und Englisch, was das ist.", ("de", "en")),
        ("Explica en inglés y chino qué es.", ("en", "zh")),
        ("用英文和中文解释。", ("en", "zh")),
        ("英語と日本語で説明してください。", ("en", "ja")),
        ("영어와 한국어로 설명해 주세요", ("en", "ko")),
        ("Explain the difference in English and German grammar.", ()),
        ("Translate this from English to German: hello", ()),
        ("What is spoken in Belgium: French and Dutch?", ()),
        ("Write a poem in French.", ()),
    ],
)
def test_several_asked_languages_are_found(text: str, codes: tuple[str, ...]) -> None:
    assert asked_languages(text) == codes


QUESTIONS = [
    ("en", "Who painted the Mona Lisa? How many people live in Nairobi?", "Leonardo da Vinci painted the Mona Lisa."),
    ("de", "Wer malte die Mona Lisa? Wie viele Menschen leben in Nairobi?", "Leonardo da Vinci malte die Mona Lisa."),
    ("es", "¿Quién pintó la Mona Lisa? ¿Cuántas personas viven en Nairobi?", "Leonardo da Vinci pintó la Mona Lisa."),
    ("ru", "Кто написал Мону Лизу? Сколько людей живёт в Найроби?", "Леонардо да Винчи написал Мону Лизу."),
    ("zh", "蒙娜丽莎是谁画的？内罗毕有多少人口？", "蒙娜丽莎是达·芬奇画的。"),
]


@pytest.mark.parametrize(("language", "question", "answer"), QUESTIONS)
async def test_a_part_that_is_left_out_is_asked_for_and_then_named(
    language: str, question: str, answer: str, make_desk: MakeDesk
) -> None:
    async with make_desk([answer, answer]) as desk:
        reply = await desk.ask(question)
    assert reply.text.startswith(answer) and "⚠" in reply.text.removeprefix(answer)
    assert reply.receipt.language == language and "leaves out" not in reply.text
    assert any(check.name == "answers each part" and check.outcome == "failed" for check in reply.receipt.checks)


async def test_a_second_try_with_the_missing_part_stands(make_desk: MakeDesk) -> None:
    whole = "Leonardo painted it. About 4.4 million people live in Nairobi."
    async with make_desk(["Leonardo painted it.", whole]) as desk:
        reply = await desk.ask(QUESTIONS[0][1])
    assert reply.text == whole and "Nairobi" in (reply.receipt.escalation or "")
