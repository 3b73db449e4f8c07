"""The desk's own texts are complete in every language, and nobody is left without one."""

import re

import pytest

from qwendesk.desk import texts

MARK = re.compile(r"{\w+}")


def test_there_are_many_languages() -> None:
    wanted = {"en", "it", "de", "fr", "es", "pt", "nl", "pl", "ru", "uk", "tr", "ar", "zh", "ja", "ko", "hi"}
    assert set(texts.languages()) >= wanted


@pytest.mark.parametrize("language", texts.languages())
def test_a_catalogue_has_every_text_with_the_same_values(language: str) -> None:
    english, own = texts._catalogue("en"), texts._catalogue(language)
    assert own.keys() == english.keys()
    for key, text in english.items():
        assert sorted(MARK.findall(own[key])) == sorted(MARK.findall(text)), key
    assert language == "en" or sum(own[key] == english[key] for key in own) < 3


@pytest.mark.parametrize(
    ("tag", "language"), [("pt-BR", "pt"), ("zh_Hans_CN", "zh"), ("DE", "de"), ("tlh", None), ("", None), (None, None)]
)
def test_a_tag_leads_to_a_catalogue(tag: str | None, language: str | None) -> None:
    assert texts.known_language(tag) == language
    assert texts.say("new", tag) == texts.say("new", language)


def test_values_are_filled_in_and_an_unknown_language_speaks_english() -> None:
    assert texts.say("limited", "tlh", minutes=7) == texts.say("limited", "en", minutes=7)
    assert "7" in texts.say("limited", "ja", minutes=7)
