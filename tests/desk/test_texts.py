"""The desk's own texts are complete in every language, and nobody is left without one."""

import re

import pytest

from qwendesk.desk import texts
from qwendesk.desk.commands import NAMES
from qwendesk.desk.forgetting import is_goodbye

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


@pytest.mark.parametrize("language", texts.languages())
def test_no_text_stands_twice_in_a_catalogue(language: str) -> None:
    keys = re.findall(r'^msgid "(.+)"$', (texts.LOCALES / f"{language}.po").read_text("utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)) == len(texts._catalogue(language))


@pytest.mark.parametrize("language", texts.languages())
def test_what_a_text_tells_to_write_is_understood(language: str) -> None:
    assert f"/forget {texts.words('word_all', language)[0]}`" in texts.say("forget_how", language)
    yes = texts.words("word_yes", language)[0]
    for me in texts.words("word_me", language):
        for sure in ("yes", yes, yes.upper(), f"{yes}."):
            assert is_goodbye(f"{me} {sure}", language)
            assert is_goodbye(f"me {sure}"), "whatever language the desk thinks the person reads"
        for unsure in (me, f"{me} {me}", f"x {yes}", yes, f"{me} {yes} {yes}", f"{me} ."):
            assert not is_goodbye(unsure, language)


def test_every_command_of_the_memory_has_its_help() -> None:
    assert all(texts.say(f"help_{name}", language) for name in NAMES for language in texts.languages())


@pytest.mark.parametrize(
    ("tag", "language"), [("pt-BR", "pt"), ("zh_Hans_CN", "zh"), ("DE", "de"), ("tlh", None), ("", None), (None, None)]
)
def test_a_tag_leads_to_a_catalogue(tag: str | None, language: str | None) -> None:
    assert texts.known_language(tag) == language
    assert texts.say("new", tag) == texts.say("new", language)


def test_values_are_filled_in_and_an_unknown_language_speaks_english() -> None:
    assert texts.say("limited", "tlh", minutes=7) == texts.say("limited", "en", minutes=7)
    assert "7" in texts.say("limited", "ja", minutes=7)
