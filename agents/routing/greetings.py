"""The language of a message that is nothing but a greeting, thanks or a farewell."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from qwendesk.agents.routing.cues import fold, words_of

_MOST = 5
"""Words of the longest greeting."""
_NAMES = 2
"""Words that may follow it, where each begins with a capital letter: a name."""
_DRAWN_OUT = re.compile(r"([^\W\d_])\1{2,}")
"""A letter three times and more: "ciaooo"."""


def greeting_language(text: str) -> str | None:
    """Return the one language in which a text is a greeting, perhaps with a name behind it; None for any other text."""
    spoken = text.split()
    if not 0 < len(spoken) <= _MOST + _NAMES:
        return None
    words = words_of(fold(_DRAWN_OUT.sub(r"\1", text)))
    names = _trailing_names(spoken) if len(spoken) == len(words) else 0
    return next(filter(None, (_greetings().get(" ".join(words[: len(words) - n])) for n in range(names + 1))), None)


def _trailing_names(words: list[str]) -> int:
    names = 0
    while names < min(_NAMES, len(words) - 1) and words[-1 - names][:1].isupper():
        names += 1
    return names


@cache
def _greetings() -> dict[str, str]:
    """Return the language of each phrase that has only one."""
    table = tomllib.loads(resources.files(__package__).joinpath("greetings.toml").read_text("utf-8"))
    codes: dict[str, set[str]] = {}
    for code, line in table.items():
        for phrase in line.split(","):
            codes.setdefault(" ".join(words_of(fold(phrase))), set()).add(code)
    return {phrase: code for phrase, (code, *others) in codes.items() if not others}
