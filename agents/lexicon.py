"""Words that mark a message's place in a conversation, in many languages, read from the ``*_cues.toml`` files."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources

from qwendesk.agents.routing.cues import Cues, fold, words_of

_FILES = ("followup", "picture")
_NOWHERE = 1_000_000
_SHORT = 3
"""Letters up to which a word means different things in different languages."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The words of a text, and which kinds of cues stand at which of them."""

    words: list[str]
    at: dict[str, set[int]]

    def has(self, *kinds: str) -> bool:
        """Tell whether there is a cue of one of the kinds."""
        return any(kind in self.at for kind in kinds)

    def first(self, kind: str) -> int:
        """Return where the first cue of a kind stands; far behind the last word where there is none."""
        return min(self.at.get(kind, {_NOWHERE}))


def mark(file: str, text: str, language: str | None = None) -> Marks:
    """Find a file's cues in a text; of a known language, the shortest words of others count for nothing."""
    kinds, cues = _load(file, language)
    words = words_of(fold(text))
    at: dict[str, set[int]] = {}
    for index, bits in cues.find(words):
        for number, kind in enumerate(kinds):
            if bits >> number & 1:
                at.setdefault(kind, set()).add(index)
    return Marks(words, at)


def warm_up() -> None:
    """Read the files, so that the first message need not wait."""
    for file in _FILES:
        _load(file, None)
        _load(file, "en")


@cache
def _tables(file: str) -> dict[str, dict[str, list[str]]]:
    tables = tomllib.loads(resources.files(__package__).joinpath(f"{file}_cues.toml").read_text("utf-8"))
    return {
        kind: {code: [cue.strip() for cue in line.split(",") if cue.strip()] for code, line in lines.items()}
        for kind, lines in tables.items()
    }


@lru_cache(maxsize=256)
def _load(file: str, language: str | None) -> tuple[tuple[str, ...], Cues]:
    tables = _tables(file)
    return tuple(tables), Cues(
        (number, cue)
        for number, lines in enumerate(tables.values())
        for code, cues in lines.items()
        for cue in cues
        if language in (None, code) or code == "any" or len(cue) > _SHORT or not cue.isascii()
    )
