"""Phrases of many languages, found in folded text word by word; ``*`` behind a word stands for further letters."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from qwendesk.agents.checks.human_claims import normalize

_JOINERS = re.compile(r"(?<=\w)['`´-](?=\w)")
WORD = re.compile(r"\d+|(?:[^\W\d_]|[\u0900-\u0963\u0970-\u0dff])+")
"""A word in scripts with spaces between words; vowel signs of Indic scripts belong to it."""
_PHRASE_WORD = re.compile(rf"(?:{WORD.pattern})\*?")
LETTER = re.compile(r"\w")
"""A token in scripts without."""


def fold(text: str) -> str:
    """Return a text in lower case, without accents, and with hyphens and apostrophes within words as spaces."""
    return _JOINERS.sub(" ", normalize(text))


def words_of_phrase(phrase: str) -> list[str]:
    """Return the words of a folded phrase, those of stems with ``*`` behind them."""
    return [found[0] for found in _PHRASE_WORD.finditer(phrase)]


def phrases_of(line: str) -> list[str]:
    """Return the folded phrases of a line with commas between them."""
    return list(filter(None, (fold(phrase).strip() for phrase in line.split(","))))


@dataclass(slots=True)
class PhraseTree:
    """A node of a tree of phrases, each with a letter."""

    letter: str = ""
    words: dict[str, PhraseTree] = field(default_factory=dict)
    stems: dict[str, PhraseTree] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()
    """The lengths of the stems."""

    def add(self, tokens: Sequence[str], letter: str) -> None:
        """Add a phrase; one that is there keeps its letter."""
        if not tokens:
            self.letter = self.letter or letter
            return
        token, is_stem = tokens[0].removesuffix("*"), tokens[0].endswith("*")
        node = (self.stems if is_stem else self.words).setdefault(token, PhraseTree())
        if is_stem:
            self.lengths = tuple(sorted({*self.lengths, len(token)}, reverse=True))
        node.add(tokens[1:], letter)

    def longest(self, tokens: Sequence[str], start: int) -> tuple[int, str]:
        """Return the end and the letter of the longest phrase that starts at a token; no letter: none does."""
        best = (start, self.letter)
        if start == len(tokens):
            return best
        token = tokens[start]
        nodes = [self.words.get(token), *(self.stems.get(token[:n]) for n in self.lengths if n <= len(token))]
        for node in filter(None, nodes):
            found = node.longest(tokens, start + 1)
            if found[1] and found[0] > best[0]:
                best = found
        return best
