"""Language identification on short utterances; "undecided" where there is nothing to go by."""

import tomllib
from importlib import resources

import pytest

from qwendesk.routing.signals.cues import fold, words_of
from qwendesk.routing.signals.language import (
    base_language,
    english_name,
    greeting_language,
    identify_language,
    letters_in,
    likely_languages,
)
from qwendesk.routing.training.dataset import load_questions

NEIGHBOURS = [
    ("Jeg vil gerne bestille et bord til i morgen", "da"),
    ("Jag vill boka ett bord till imorgon", "sv"),
    ("Mohu si dnes objednat stůl?", "cs"),
    ("Môžem si dnes objednať stôl?", "sk"),
    ("Podseti me da pozovem mamu večeras", "sr"),
    ("Tolong ingatkan saya besok", "id"),
    ("Onde está a minha encomenda?", "pt"),
    ("¿Dónde está mi pedido?", "es"),
    ("Де моє замовлення?", "uk"),
    ("Къде е моята поръчка?", "bg"),
    ("तुम्ही कसे आहात?", "mr"),
]


@pytest.mark.parametrize(("text", "code"), NEIGHBOURS)
def test_neighbours_are_told_apart(text: str, code: str) -> None:
    assert identify_language(text) == code


@pytest.mark.parametrize(
    ("own", "code"), [("Und wie ist das am Sonntag?", "de"), ("日曜日はどうですか", "ja"), ("Ok.", None)]
)
def test_words_that_are_quoted_do_not_count(own: str, code: str | None) -> None:
    quoted = "> you, the assistant wrote:\n> We are open from nine to six on weekdays.\n> Please call before you come."
    assert identify_language(f"{quoted}\n\n{own}") == identify_language(f"{own}\n\n{quoted}") == code
    assert identify_language(quoted) == "en"


@pytest.mark.parametrize(("text", "code"), [("RICORDAMELO DOPO LA CENA", "it"), ("JEDAKAN ALARMNYA", "id")])
def test_shouting_is_the_same_language(text: str, code: str) -> None:
    assert identify_language(text) == code


@pytest.mark.parametrize(
    "text",
    [
        "John Smith",
        "Netflix",
        "GET /api/v1",
        "SKU-123",
        "`return x`",
        "https://example.org/wo-ist-das",
        "a@b.example",
        "٤٢",
    ],
)
def test_names_code_and_numbers_leave_it_open(text: str) -> None:
    assert identify_language(text) is None


@pytest.mark.parametrize("text", ["\ud800", "\u202e\u200f", "x" * 1_000_000, "é" * 10_000])
def test_any_text_is_looked_at(text: str) -> None:
    code = identify_language(text)
    assert code is None or english_name(code)


def test_public_utterances_are_named() -> None:
    found: dict[str, list[bool]] = {}
    for question in load_questions():
        if question.source in ("xsid", "xquad", "msvamp"):
            found.setdefault(question.lang, []).append(identify_language(question.text) == question.lang)
    shares = [sum(right) / len(right) for right in found.values()]
    assert len(shares) >= 19
    assert sum(shares) / len(shares) >= 0.95


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Ciao", "it"),
        ("ciaooo!", "it"),
        ("Ciao Marco", "it"),
        ("Hola!", "es"),
        ("BONJOUR", "fr"),
        ("Guten Tag 👋", "de"),
        ("Grüß Gott", "de"),
        ("Merhaba", "tr"),
        ("Olá", "pt"),
        ("Cześć", "pl"),
        ("czesc", "pl"),
        ("Dzień dobry", "pl"),
        ("Hello", "en"),
        ("Thanks a lot!", "en"),
        ("Xin chào", "vi"),
        ("Selamat pagi", "id"),
        ("こんにちは", "ja"),
        ("안녕하세요!", "ko"),
        ("你好", "zh"),
        ("您好！", "zh"),
        ("Привет", "ru"),
        ("Привіт", "uk"),
        ("Здравейте", "bg"),
        ("Γεια σας", "el"),
        ("مرحبا", "ar"),
        ("שלום", "he"),
        ("नमस्ते", "hi"),
        ("สวัสดีครับ", "th"),
        ("Goedemorgen", "nl"),
        ("Köszönöm", "hu"),
        ("Tere", "et"),
        ("Labdien", "lv"),
        ("Labas rytas", "lt"),
        ("Mulțumesc", "ro"),
        ("Kiitos", "fi"),
        ("Asante sana", "sw"),
    ],
)
def test_a_greeting_tells_its_language(text: str, code: str) -> None:
    assert identify_language(text) == code


@pytest.mark.parametrize("text", ["hi", "hey", "ok", "Hallo", "Salut", "Ahoj", "Hej", "👋", "Marco Ciao"])
def test_a_greeting_of_several_languages_leaves_it_open(text: str) -> None:
    assert identify_language(text) is None


def test_every_greeting_is_of_a_language_that_is_told_apart() -> None:
    table = tomllib.loads(resources.files("qwendesk.routing.signals").joinpath("greetings.toml").read_text("utf-8"))
    assert all(english_name(code) for code in table)
    found = {greeting_language(phrase) for line in table.values() for phrase in line.split(",")}
    assert len({code for code in found if english_name(code)}) >= 50
    assert all(english_name(code) for code in found if code)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Wie kann ich das Problem mit der Heizung lösen?", "de"),
        ("¿Cómo puedo saber si el paquete está en la oficina?", "es"),
        ("手紙を書いてください", "ja"),
        ("请帮我写一封信", "zh"),
    ],
)
def test_likely_languages_hold_the_language(text: str, wanted: str) -> None:
    found = likely_languages(text, words_of(fold(text)))
    assert found and {wanted, "en"} <= found
    assert "fi" not in found


@pytest.mark.parametrize("text", ["", "Tetris", "안녕하세요"])
def test_where_nothing_tells_every_language_is_likely(text: str) -> None:
    assert likely_languages(text, words_of(fold(text))) is None


@pytest.mark.parametrize(
    ("tag", "language"), [("pt-BR", "pt"), ("zh_Hans", "zh"), (" DE ", "de"), ("fr", "fr"), ("", ""), (None, "")]
)
def test_the_language_of_a_tag(tag: str | None, language: str) -> None:
    assert base_language(tag) == language


@pytest.mark.parametrize(("text", "letters"), [("two 2 words", 8), ("東京 1", 8), ("Åsa", 3), ("", 0)])
def test_a_dense_letter_counts_four_times(text: str, letters: int) -> None:
    assert letters_in(text) == letters
