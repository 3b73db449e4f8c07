"""The desk's own texts are complete in every language, and nobody is left without one."""

import re
from pathlib import Path

import pytest

import qwendesk
from qwendesk.desk import translations
from qwendesk.desk.commands.memory import NAMES, is_deletion_request

MARK = re.compile(r"{\w+}")


def test_there_are_many_languages() -> None:
    wanted = {"en", "it", "de", "fr", "es", "pt", "nl", "pl", "ru", "uk", "tr", "ar", "zh", "ja", "ko", "hi"}
    assert set(translations.languages()) >= wanted


@pytest.mark.parametrize("language", translations.languages())
def test_a_catalogue_has_every_text_with_the_same_values(language: str) -> None:
    english, own = translations._catalogue("en"), translations._catalogue(language)
    assert own.keys() == english.keys()
    for key, text in english.items():
        assert sorted(MARK.findall(own[key])) == sorted(MARK.findall(text)), key
    assert language == "en" or sum(own[key] == english[key] for key in own) < 3


@pytest.mark.parametrize("language", translations.languages())
def test_no_text_stands_twice_in_a_catalogue(language: str) -> None:
    keys = re.findall(r'^msgid "(.+)"$', (translations.LOCALES / f"{language}.po").read_text("utf-8"), re.MULTILINE)
    assert len(keys) == len(set(keys)) == len(translations._catalogue(language))


@pytest.mark.parametrize("language", translations.languages())
def test_what_a_text_tells_to_write_is_understood(language: str) -> None:
    assert f"/forget {translations.words('word_all', language)[0]}`" in translations.say("forget_how", language)
    yes = translations.words("word_yes", language)[0]
    for me in translations.words("word_me", language):
        for sure in ("yes", yes, yes.upper(), f"{yes}."):
            assert is_deletion_request(f"{me} {sure}", language)
            assert is_deletion_request(f"me {sure}"), "whatever language the desk thinks the person reads"
        for unsure in (me, f"{me} {me}", f"x {yes}", yes, f"{me} {yes} {yes}", f"{me} ."):
            assert not is_deletion_request(unsure, language)


def test_each_text_is_used() -> None:
    package = Path(qwendesk.__file__).parent
    rooms = {entry.resolve() for entry in (package, *package.iterdir())}  # rglob does not follow links
    code = "\n".join(file.read_text("utf-8") for room in rooms for file in room.rglob("*.py"))
    literals = set(
        re.findall(r"""(?<!"type": )["'](\w+)["']""", code)
    )  # else than the types of the web chat's messages
    prefixes = set(re.findall(r'f"([a-z]+_){', code))
    used = literals | {prefix + rest for prefix in prefixes for rest in literals}
    assert set(translations._catalogue("en")) - used == set()


def test_every_command_of_the_memory_has_its_help() -> None:
    assert all(translations.say(f"help_{name}", language) for name in NAMES for language in translations.languages())


@pytest.mark.parametrize(
    ("tag", "language"), [("pt-BR", "pt"), ("zh_Hans_CN", "zh"), ("DE", "de"), ("tlh", None), ("", None), (None, None)]
)
def test_a_tag_leads_to_a_catalogue(tag: str | None, language: str | None) -> None:
    assert translations.known_language(tag) == language
    assert translations.say("new", tag) == translations.say("new", language)


def test_values_are_filled_in_and_an_unknown_language_speaks_english() -> None:
    assert translations.say("limited", "tlh", minutes=7) == translations.say("limited", "en", minutes=7)
    assert "7" in translations.say("limited", "ja", minutes=7)
