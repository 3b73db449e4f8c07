"""The language in which the desk itself speaks to somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qwendesk.desk.inbox.records import HEARD
from qwendesk.desk.translations import FALLBACK, known_language
from qwendesk.messages import Inbound
from qwendesk.quoting import own_words
from qwendesk.routing.signals.language import identify_language

_ENOUGH = 100
"""Characters that are looked at."""
_LATIN, _OTHER = 12, 4
"""Letters that outweigh what the platform says; in another script than the Latin, few do."""
_BEYOND_LATIN = "\u0250"


def language_of(inbound: Inbound, settings: Mapping[str, Any]) -> str | None:
    """Return the language that was chosen (``/lang``), else the one that is written, else the platform's."""
    chosen: str | None = settings.get("language")
    return chosen or written(inbound.text) or settings.get(HEARD) or inbound.locale


def written(text: str) -> str | None:
    """Return the language of a text where the desk speaks it."""
    return known_language(identify_language(text)) if _is_telling(text) else None


def newly_heard(language: str | None, inbound: Inbound, settings: Mapping[str, Any]) -> str | None:
    """Return the language of a turn where it has to be kept: the desk would speak another one without."""
    heard = known_language(language) if _is_telling(inbound.text) else None
    return heard if heard != (settings.get(HEARD) or known_language(inbound.locale) or FALLBACK) else None


def _is_telling(text: str) -> bool:
    """Tell whether a text says more about its writer's language than a greeting or a command does."""
    letters = [letter for letter in own_words(text)[:_ENOUGH] if letter.isalpha()]
    latin = sum(letter < _BEYOND_LATIN for letter in letters)
    return not text.startswith("/") and (latin >= _LATIN or len(letters) - latin >= _OTHER)
