"""What the desk itself says, in the person's language: gettext catalogues, read when first needed."""

from __future__ import annotations

from functools import cache
from pathlib import Path

LOCALES = Path(__file__).parent / "locales"
FALLBACK = "en"


def say(key: str, language: str | None = None, **values: object) -> str:
    """Return a system text in a language, in English where there is no such catalogue or text."""
    text = _catalogue(known_language(language) or FALLBACK).get(key) or _catalogue(FALLBACK)[key]
    return text.format(**values) if values else text


def words(key: str, language: str | None = None) -> list[str]:
    """Return words that a person may write for something: those of a language first, the English ones always."""
    listed = ",".join((say(key, language), say(key)))
    return list(dict.fromkeys(word.strip() for word in listed.split(",")))


def words_of_all(key: str) -> list[str]:
    """Return the words for something in all languages."""
    return [word for language in languages() for word in words(key, language)]


def known_language(tag: str | None) -> str | None:
    """Return the catalogue's name for a language tag such as ``pt-BR`` or ``zh_Hans``; None where there is none."""
    name = (tag or "").replace("_", "-").partition("-")[0].lower()
    return name if name in languages() else None


@cache
def languages() -> tuple[str, ...]:
    """Return the languages that there are catalogues for."""
    return tuple(sorted(file.stem for file in LOCALES.glob("*.po")))


@cache
def _catalogue(language: str) -> dict[str, str]:
    from babel.messages.pofile import read_po

    with (LOCALES / f"{language}.po").open("rb") as file:
        catalogue = read_po(file, locale=language)
    return {str(message.id): str(message.string) for message in catalogue if message.id and message.string}
