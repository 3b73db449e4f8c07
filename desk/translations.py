"""The desk's own texts in the person's language, from gettext catalogues that are loaded on first use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

LOCALES = Path(__file__).parent / "locales"
FALLBACK = "en"
NOTICE_SENT = "machine_notice_sent"
"""Conversation setting: the notice that a machine answers was sent."""


def say(key: str, language: str | None = None, **values: object) -> str:
    """Return a text in a language, or in English where the catalogue or the text is missing."""
    text = _catalogue(known_language(language) or FALLBACK).get(key) or _catalogue(FALLBACK)[key]
    return text.format(**values) if values else text


def words(key: str, language: str | None = None) -> list[str]:
    """Return the accepted words of a key: those of a language first, then the English ones."""
    listed = ",".join((say(key, language), say(key)))
    return list(dict.fromkeys(word.strip() for word in listed.split(",")))


def words_of_all(key: str) -> list[str]:
    """Return the accepted words of a key in all languages."""
    return [word for language in languages() for word in words(key, language)]


def known_language(tag: str | None) -> str | None:
    """Return the catalogue of a language tag such as ``pt-BR`` or ``zh_Hans``; None if there is none."""
    name = (tag or "").replace("_", "-").partition("-")[0].lower()
    return name if name in languages() else None


@cache
def languages() -> tuple[str, ...]:
    """Return the languages of the catalogues."""
    return tuple(sorted(file.stem for file in LOCALES.glob("*.po")))


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
