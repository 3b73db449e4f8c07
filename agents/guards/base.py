"""The base class of guards, what a guard knows of a turn, and the parts of an answer that it reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Literal

import regex

from qwendesk.agents.checks.human_claims import normalize, without_quotations
from qwendesk.agents.guards.languages import likely_languages
from qwendesk.agents.phrases import phrase
from qwendesk.agents.state import Fault
from qwendesk.messages import Role, ToolUse

GuardName = Literal["echo", "citations", "numbers", "names", "human_claims", "promises", "leaks", "orders"]
_DENSE = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_TOKEN = regex.compile(rf"[{_DENSE}]|[^\W_{_DENSE}]+")


@dataclass(frozen=True, slots=True)
class AnswerContext:
    """What guards compare an answer with."""

    question: str
    language: str | None = None
    """ISO 639-1 code of the answer's language."""
    role: Role = "general"
    questions: tuple[str, ...] = ()
    """The person's earlier messages."""
    answers: tuple[str, ...] = ()
    """The desk's earlier answers."""
    uses: tuple[ToolUse, ...] = ()
    """The turn's tool calls so far."""
    passages: tuple[str, ...] = ()
    """Texts of documents in the prompt."""
    background: str = ""
    """Facts about the person and the summary of the conversation."""
    system_prompt: str = ""
    """The desk's own instructions, without those of the operators."""
    system_context: str = ""
    """Text of the desk's operators."""
    tool_names: tuple[str, ...] = ()
    trusted_names: frozenset[str] = frozenset()
    """The tools whose results hold no text of others."""
    has_dropped_calls: bool = False
    """Whether a call of this turn was not made, because its values were made up."""
    skips_figures: bool = False
    """Whether figures are not compared: a check does, or the message may be about something else."""

    @property
    def asked(self) -> tuple[str, ...]:
        """The texts that the person wrote."""
        return (self.question, *self.questions)

    @property
    def results(self) -> tuple[str, ...]:
        """The results of the turn's successful calls."""
        return tuple(use.result for use in self.uses if use.ok)

    @property
    def has_held_calls(self) -> bool:
        """Whether a call was not approved, which the desk itself says below the answer."""
        return any(use.held for use in self.uses)

    def no_answer(self) -> str:
        """Return the line in place of an answer of which nothing stands; empty if the desk's own line follows."""
        return "" if self.has_held_calls else phrase("no_answer", self.language)


@dataclass(frozen=True)
class Sentence:
    """A part of an answer that is checked before it is shown: a sentence, or a line of code."""

    text: str
    is_code: bool = False

    @cached_property
    def folded(self) -> str:
        """The text in lower case and without accents."""
        return normalize(self.text)

    @cached_property
    def unquoted(self) -> str:
        """The folded text without quotations."""
        bare = without_quotations(self.text)
        return self.folded if bare == self.text else normalize(bare)

    @cached_property
    def tokens(self) -> list[str]:
        """The words of the text; each sign of scripts without spaces is one."""
        return tokens_of(self.folded)

    @cached_property
    def languages(self) -> tuple[str, ...]:
        """The languages that the text may be in."""
        return likely_languages(self.folded, self.tokens)


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """A fault, and the guard that found it."""

    guard: Guard
    detail: str
    """The fault in words, without the text at fault."""
    is_in_code: bool = False

    @property
    def fault(self) -> Fault:
        """The fault alone."""
        return Fault(self.guard.name, self.detail, self.guard.feedback)

    @property
    def voids_answer(self) -> bool:
        """Whether the rest of the answer cannot stand without the part at fault."""
        return self.guard.voids_answer or self.is_in_code


class Guard:
    """Looks for one kind of fault in an answer; made anew for each answer.

    Args:
        context: what the answer is compared with.
    """

    key: ClassVar[GuardName]
    """Its name in the settings."""
    name: ClassVar[str]
    """Its name in receipts: what holds for an answer that passed."""
    feedback: ClassVar[str]
    """What the second try is told."""
    instead: ClassVar[str | None] = None
    """Key of the sentence (``phrases.toml``) that replaces one at fault; None: it is left out."""
    waits: ClassVar[bool] = False
    """Whether a tool call that the model makes behind the sentence may justify it."""
    voids_answer: ClassVar[bool] = False
    """Whether a fault replaces the whole answer."""

    def __init__(self, context: AnswerContext) -> None:
        self.context = context

    def prepare(self) -> None:
        """Do what takes time and does not depend on the answer; called in a thread before it begins."""

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Return the fault of a sentence in words; None if there is none."""
        return None

    def check_answer(self, text: str) -> str | None:
        """Return the fault that only the whole answer shows, in words; None if there is none."""
        return None

    def compared(self) -> str | None:
        """Return what was compared with what in the sentences that passed; None if nothing was."""
        return None

    def replacement(self) -> str:
        """Return the text that replaces a sentence at fault; empty: none."""
        return phrase(self.instead, self.context.language) if self.instead else ""


def tokens_of(folded: str) -> list[str]:
    """Return the words of a text in lower case; each sign of scripts without spaces is one."""
    return list(map(str, _TOKEN.findall(folded)))


class KnownRuns:
    """Finds runs of words that a text shares with known texts.

    Args:
        size: the smallest number of words that counts as a run.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._known = set[tuple[str, ...]]()

    def add(self, text: str) -> None:
        """Add a known text."""
        self._known.update(self._runs(tokens_of(normalize(text))))

    def remove(self, text: str) -> None:
        """Remove the runs of a text, which may be said."""
        self._known.difference_update(self._runs(tokens_of(normalize(text))))

    def longest(self, tokens: list[str]) -> tuple[int, int]:
        """Return the words of the longest shared run, and of all shared runs together."""
        longest = covered = current = 0
        last_end = 0
        for start, run in enumerate(self._runs(tokens)):
            if run not in self._known:
                current = 0
                continue
            current = current + 1 if current else self._size
            longest = max(longest, current)
            end = start + self._size
            covered += end - max(start, last_end)
            last_end = end
        return longest, covered

    def _runs(self, tokens: list[str]) -> list[tuple[str, ...]]:
        return [tuple(tokens[at : at + self._size]) for at in range(len(tokens) - self._size + 1)]
