"""The language of a message; "undecided" is an answer of its own."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from tomllib import loads
from typing import Any

_NOT_WORDS = re.compile(r"```.*?(?:```|$)|`[^`]*`|https?://\S+|\S+@\S+|[\w./\\-]*\d[\w./\\-]*|[^\w\s']|_", re.DOTALL)
"""Code, addresses and numbers: they are the same in every language."""
_LONGEST = 400
"""Characters that are looked at; more of them change nothing."""
_SHORTEST = 6
"""Letters of the Latin alphabet under which a text says nothing about its language."""
_LEAST = 0.15
_MARGIN = 2.0
"""How many times as likely as the second the first language has to be."""


def identify(text: str) -> str | None:
    """Return the text's language as an ISO 639-1 code, or None where code, numbers and names leave it open."""
    words = _NOT_WORDS.sub(" ", text[: _LONGEST * 4])[:_LONGEST].strip()
    letters = sum(character.isalpha() for character in words)
    if letters < (_SHORTEST if words.isascii() else 2):
        return None
    (first, likely), (_, less) = _identifier().rank(words)[:2]
    return str(first) if likely >= _LEAST and likely >= _MARGIN * less else None


def english_name(code: str | None) -> str | None:
    """Return a language's English name; None where the code is None or unknown."""
    return _names().get(code or "")


def warm_up() -> None:
    """Load the identifier (about half a second), so that the first message need not wait."""
    _identifier()


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(_names()))
    return identifier


@cache
def _names() -> dict[str, str]:
    return loads(resources.files(__package__).joinpath("languages.toml").read_text("utf-8"))
