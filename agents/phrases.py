"""Fixed sentences of answers, translated into the person's language."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources


def phrase(name: str, language: str | None) -> str:
    """Return a sentence in a language, or in English if it is not translated."""
    texts = phrases()[name]
    return texts.get(language or "en", texts["en"])


@cache
def phrases() -> dict[str, dict[str, str]]:
    """Return all sentences by name and language."""
    return tomllib.loads(resources.files(__package__).joinpath("phrases.toml").read_text("utf-8"))
