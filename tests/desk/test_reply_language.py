"""The desk speaks the language that a person chose, else the one they write, else their platform's."""

from pathlib import Path

import pytest

from qwendesk.desk.access import AccessPolicy
from qwendesk.desk.translations import DETECTED_LANGUAGE, language_of, newly_detected, say
from qwendesk.desk.worker import with_settings
from qwendesk.messages import Attachment, Inbound
from tests.desk.parts import running

ITALIAN = "Vorrei sapere quando arriva il mio ordine, per favore."


@pytest.mark.parametrize(
    ("text", "locale", "settings", "wanted"),
    [
        (ITALIAN, "en-US", {"language": "ja", DETECTED_LANGUAGE: "de"}, "ja"),
        (ITALIAN, "en-US", {DETECTED_LANGUAGE: "de"}, "it"),
        (
            f"> Somebody wrote:\n> We are open on weekdays from nine to six.\n\n{ITALIAN}",
            "en-US",
            {DETECTED_LANGUAGE: "de"},
            "it",
        ),
        (
            "> Somebody wrote:\n> We are open on weekdays from nine to six.\n\n???",
            "fr",
            {DETECTED_LANGUAGE: "de"},
            "de",
        ),
        (f"> Forwarded message:\n> {ITALIAN}", "de", {}, "it"),
        ("/memory", "en-US", {DETECTED_LANGUAGE: "de"}, "de"),
        ("37 * 91", "en-US", {DETECTED_LANGUAGE: "de"}, "de"),
        ("hello", "de", {}, "de"),
        ("привет, как дела?", "de", {}, "ru"),
        ("/memory", "pt-BR", {}, "pt-BR"),
        ("Ddydd da, sut mae'r tywydd heddiw yng Nghaerdydd?", "en", {}, "en"),
        ("", None, {}, None),
    ],
)
def test_what_is_known_of_a_language_counts_in_its_order(
    text: str, locale: str | None, settings: dict[str, str], wanted: str | None
) -> None:
    assert language_of(Inbound(text, "c", locale=locale), settings) == wanted


@pytest.mark.parametrize(("settings", "told"), [({}, "it"), ({"language": "ja"}, "ja")])
def test_of_files_the_desk_speaks_in_the_language_that_counts(settings: dict[str, str], told: str) -> None:
    inbound = Inbound(ITALIAN, "c", (Attachment("document", "text/plain", b"x", "a.txt"),), locale="en-US")
    assert with_settings(inbound, settings).locale == told


@pytest.mark.parametrize(
    ("language", "locale", "settings", "kept"),
    [
        ("it", None, {}, "it"),
        ("it", "it-CH", {}, None),
        ("it", None, {DETECTED_LANGUAGE: "it"}, None),
        ("en", "it", {DETECTED_LANGUAGE: "it"}, "en"),
        ("en", None, {}, None),
        ("cy", None, {}, None),
        (None, None, {DETECTED_LANGUAGE: "it"}, None),
    ],
)
def test_a_language_is_kept_where_the_desk_would_speak_another(
    language: str | None, locale: str | None, settings: dict[str, str], kept: str | None
) -> None:
    assert newly_detected(language, Inbound(ITALIAN, "c", locale=locale), settings) == kept
    assert newly_detected(language, Inbound("ok", "c", locale=locale), settings) is None


async def test_a_command_is_answered_in_the_language_that_was_written_before(tmp_path: Path) -> None:
    async with running(tmp_path) as desk:
        for text in (ITALIAN, "/memory"):
            await desk.say(text, locale="en-US")
            await desk.settle()
        assert desk.outlet.texts[-1] == say("memory_empty", "it")


async def test_a_stranger_is_told_in_the_language_they_write(tmp_path: Path) -> None:
    async with running(tmp_path, access_policies={"test": AccessPolicy()}, answers=False) as desk:
        refused = await desk.say("こんにちは、注文した商品がまだ届きません。")
        (guest,) = await desk.runtime.access.requests()
        assert refused.text == say("pairing", "ja", code=guest.code)
