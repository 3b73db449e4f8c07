"""What an answer rests on: the texts of a turn that give it its facts, and whether a sentence speaks of them."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import pairwise

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.checks.numbers import numbers_in
from qwendesk.agents.checks.tool_results import CALCULATORS
from qwendesk.agents.guards.base import AnswerContext, Sentence, tokens_of
from qwendesk.agents.guards.languages import is_common_word

_PASSAGE_NUMBER = re.compile(r"^\[\d{1,3}\] ", re.MULTILINE)
_CITED = re.compile(r"\[\d{1,3}\]")
_MAX_CHARS = 40_000
_MIN_LETTERS, _STEM = 3, 5
"""Letters of a word that counts, and those by which two are the same in spite of their endings."""


class Sources:
    """The texts that an answer's facts may come from.

    Args:
        context: what the answer is compared with.
    """

    def __init__(self, context: AnswerContext) -> None:
        self._context = context

    @cached_property
    def were_read(self) -> bool:
        """Whether the answer rests on documents or looked-up results: others are general knowledge."""
        context = self._context
        return not context.skips_figures and bool(self._looked_up or context.passages)

    def are_meant(self, sentence: Sentence, least: int = 1) -> bool:
        """Return whether a sentence speaks of what was read: passages found unasked may be about something else.

        Args:
            sentence: the sentence.
            least: the number of words of it or the question that stand in the passages.
        """
        if self._looked_up or _CITED.search(sentence.text):
            return True
        words = _stems(f"{self._context.question}\n{sentence.text}")
        return len(words & self._passage_words) >= least

    @cached_property
    def text(self) -> str:
        """All that is known in the turn: what was read, said, asked for and set."""
        context = self._context
        arguments = (str(value) for use in context.uses for value in use.arguments.values())
        texts = (*self._read, *context.asked, *context.answers, *arguments)
        return "\n".join((*texts, context.background, context.system_context))

    @cached_property
    def read_text(self) -> str:
        """The documents and results alone."""
        return "\n".join(self._read)

    @cached_property
    def _read(self) -> list[str]:
        return [_PASSAGE_NUMBER.sub("", text) for text in (*self._context.results, *self._context.passages)]

    @cached_property
    def _passage_words(self) -> set[str]:
        return _stems("\n".join(self._context.passages)[:_MAX_CHARS])

    @cached_property
    def _looked_up(self) -> bool:
        return any(use.ok and use.name not in CALCULATORS for use in self._context.uses)


def _stems(text: str) -> set[str]:
    """Return the beginnings of the words of a text that say what it is about; signs of dense scripts in pairs."""
    words = tokens_of(normalize(text))
    long = {word[:_STEM] for word in words if len(word) >= _MIN_LETTERS and not _is_measure(word)}
    pairs = {a + b for a, b in pairwise(words) if len(a) == len(b) == 1 and a >= "\u2e80" and b >= "\u2e80"}
    return long | pairs


def _is_measure(word: str) -> bool:
    return word[0].isdigit() or is_common_word(word) or bool(numbers_in(f"1 {word}", None)[0].unit)
