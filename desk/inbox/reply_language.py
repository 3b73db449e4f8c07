"""The language of the desk's own texts to a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwendesk.desk.inbox.records import DETECTED_LANGUAGE
from qwendesk.desk.translations import FALLBACK, known_language
from qwendesk.messages import Inbound
from qwendesk.prompt_quoting import without_quoted_lines
from qwendesk.routing.signals.language import identify_language

_MAX_CHARS = 100
"""Characters of a text that are examined."""
_MIN_LATIN_LETTERS, _MIN_OTHER_LETTERS = 12, 4
"""Letters from which a detected language overrides the platform's; other scripts than the Latin need fewer."""
_FIRST_BEYOND_LATIN = "\u0250"


def language_of(inbound: Inbound, settings: Mapping[str, Any]) -> str | None:
    """Return the language chosen by ``/lang``, else the written one, the one detected before, or the platform's."""
    chosen: str | None = settings.get("language")
    return chosen or written_language(inbound.text) or settings.get(DETECTED_LANGUAGE) or inbound.locale


def written_language(text: str) -> str | None:
    """Return the language of a text where the desk has texts in it and the text is long enough."""
    return known_language(identify_language(text)) if _is_long_enough(text) else None


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
    letters = [letter for letter in without_quoted_lines(text)[:_MAX_CHARS] if letter.isalpha()]
    latin = sum(letter < _FIRST_BEYOND_LATIN for letter in letters)
    return not text.startswith("/") and (latin >= _MIN_LATIN_LETTERS or len(letters) - latin >= _MIN_OTHER_LETTERS)
