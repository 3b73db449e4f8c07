"""The desk's own texts: their language, and gettext catalogues that are loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from qwendesk.messages import Inbound
from qwendesk.prompt_quoting import without_quoted_lines
from qwendesk.routing.signals.language import base_language, identify_language

LOCALES = Path(__file__).parent / "locales"
FALLBACK = "en"
NOTICE_SENT = "machine_notice_sent"
"""Conversation setting: the notice that a machine answers was sent."""
_MAX_CHARS = 100
"""Characters of a text that are examined."""
_MIN_LATIN_LETTERS, _MIN_OTHER_LETTERS = 12, 4
"""Letters from which a detected language overrides the platform's; other scripts than the Latin need fewer."""
_FIRST_BEYOND_LATIN = "\u0250"
DETECTED_LANGUAGE = "detected_language"
"""Conversation setting: the language that was last detected in it."""


def say(key: str, language: str | None = None, **values: object) -> str:
    """Return a text in a language, or in English where the catalogue or the text is missing."""
    text = _catalogue(known_language(language) or FALLBACK).get(key) or _catalogue(FALLBACK)[key]
    return text.format(**values) if values else text


def text_keys() -> list[str]:
    """Return the keys of all texts."""
    return sorted(_catalogue(FALLBACK))


def words(key: str, language: str | None = None) -> list[str]:
    """Return the accepted words of a key: those of a language first, then the English ones."""
    listed = ",".join((say(key, language), say(key)))
    return list(dict.fromkeys(word.strip() for word in listed.split(",")))


def words_of_all(key: str) -> list[str]:
    """Return the accepted words of a key in all languages."""
    return [word for language in languages() for word in words(key, language)]


def known_language(tag: str | None) -> str | None:
    """Return the catalogue of a language tag such as ``pt-BR`` or ``zh_Hans``; None if there is none."""
    name = base_language(tag)
    return name if name in languages() else None


@cache
def languages() -> tuple[str, ...]:
    """Return the languages of the catalogues."""
    return tuple(sorted(file.stem for file in LOCALES.glob("*.po")))


def language_name(code: str, language: str | None = None) -> str:
    """Return the name of a language in another one, or in English where the desk has no texts in that."""
    from babel import Locale

    return str(Locale.parse(known_language(language) or FALLBACK).languages.get(code, code))


@cache
def _catalogue(language: str) -> dict[str, str]:
    from babel.messages.pofile import read_po

    with (LOCALES / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    return {str(message.id): str(message.string) for message in catalogue if message.id and message.string}


@dataclass(frozen=True, slots=True)
class MachineNotices:
    """The first line of a conversation's first answer, which says that a machine answers."""

    by_channel: Mapping[str, str | bool] = field(default_factory=dict)
    """The text of a channel, or True for the built-in text; a channel that is missing here has no notice."""

    def first_line(self, channel: str, settings: Mapping[str, Any], language: str | None) -> str:
        """Return the notice before the next answer of a conversation; empty if it was sent or is switched off.

        Args:
            channel: the channel.
            settings: settings of the conversation.
            language: the person's language.
        """
        notice = self.by_channel.get(channel, False)
        if not notice or settings.get(NOTICE_SENT):
            return ""
        return say("machine_notice", language) if notice is True else notice


def after_notice(notice: str, text: str) -> str:
    """Return a text with the notice before it."""
    return f"{notice}\n\n{text}" if notice and text else text


def language_of(inbound: Inbound, settings: Mapping[str, Any]) -> str | None:
    """Return the language chosen by ``/lang``, else the written one, the one detected before, or the platform's."""
    chosen: str | None = settings.get("language")
    return chosen or written_language(inbound.text) or settings.get(DETECTED_LANGUAGE) or inbound.locale


def written_language(text: str) -> str | None:
    """Return the language of a text where the desk has texts in it and the text is long enough."""
    return known_language(detected_language(text))


def detected_language(text: str) -> str | None:
    """Return the language of a text that is long enough to tell it, whether the desk has texts in it or not."""
    return identify_language(text) if _is_long_enough(text) else None


def has_letters(text: str, latin: int, other: int) -> bool:
    """Return whether a text has letters enough to tell its language.

    Args:
        text: the text.
        latin: Latin letters that are enough.
        other: letters of other scripts that are enough; they tell more.
    """
    letters = [letter for letter in text if letter.isalpha()]
    found = sum(letter < _FIRST_BEYOND_LATIN for letter in letters)
    return found >= latin or len(letters) - found >= other


def newly_detected(language: str | None, inbound: Inbound, settings: Mapping[str, Any]) -> str | None:
    """Return a turn's language where it has to be stored; None if the desk would use it anyway."""
    detected = known_language(language) if _is_long_enough(inbound.text) else None
    return (
        detected
        if detected != (settings.get(DETECTED_LANGUAGE) or known_language(inbound.locale) or FALLBACK)
        else None
    )


def _is_long_enough(text: str) -> bool:
    """Return whether the language of a text can be detected: it is no command and longer than a greeting."""
    written = without_quoted_lines(text)[:_MAX_CHARS]
    return not text.startswith("/") and has_letters(written, _MIN_LATIN_LETTERS, _MIN_OTHER_LETTERS)
