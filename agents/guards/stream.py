"""Show a streamed answer part by part, each after all guards have passed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from qwendesk.agents.guards.base import Guard, GuardFinding, Sentence
from qwendesk.agents.guards.sentences import SentenceSplitter
from qwendesk.agents.state import Fault
from qwendesk.messages import Check
from qwendesk.routing.signals.language import letters_in

_MIN_LETTERS = 12
"""Letters that must be left of an answer without the sentences at fault."""


@dataclass(slots=True)
class GuardedStream:
    """Passes on the text of an answer; what is passed on has been checked.

    The first sentence is passed on unchecked while it is written if ``hurry`` is called; ``is_ahead`` says whether
    such text would have to be withdrawn.

    Args:
        guards: the guards of this answer.
        show: takes text that may be shown.
        stops: whether the first fault ends the answer; otherwise sentences at fault are replaced or left out.
    """

    guards: Sequence[Guard]
    show: Callable[[str], None]
    stops: bool = True
    kept: list[str] = field(default_factory=list)
    """The text that stands."""
    findings: list[GuardFinding] = field(default_factory=list)
    is_over: bool = False
    """Whether a fault has ended the answer."""
    is_ahead: bool = False
    """Whether text was shown that does not stand."""
    _splitter: SentenceSplitter = field(default_factory=SentenceSplitter)
    _held: list[Sentence] = field(default_factory=list)
    """The parts from a sentence on that a tool call may justify."""
    _code: list[Sentence] = field(default_factory=list)
    """The lines of the newest block of code."""
    _ahead: int = 0
    """Characters of the incomplete part that are shown."""
    _hurries: bool = False

    @property
    def text(self) -> str:
        """The text that stands."""
        return "".join(self.kept)

    @property
    def has_begun(self) -> bool:
        """Whether text was shown."""
        return bool(self._ahead) or any(part.strip() for part in self.kept)

    def feed(self, text: str) -> None:
        """Add a chunk."""
        if not self.guards:
            self.kept.append(text)
            self.show(text)
            return
        for sentence in self._splitter.feed(text):
            if not self.is_over:
                self._judge(sentence)
        if self._hurries and not self.is_over and not self.has_finished_sentence:
            self._show_ahead()

    @property
    def has_finished_sentence(self) -> bool:
        """Whether a part that is not blank was checked."""
        return bool(self._held or self.findings) or any(part.strip() for part in self.kept)

    def hurry(self) -> None:
        """Show the first sentence as far as it is written, and its rest as it comes."""
        self._hurries = True
        if not self.is_over and not self.has_finished_sentence:
            self._show_ahead()

    def finish(self, *, has_calls: bool = False) -> None:
        """Check the last part.

        Args:
            has_calls: whether the model calls tools, so that what they may justify is checked later.
        """
        for sentence in self._splitter.flush():
            if not self.is_over:
                self._judge(sentence)
        self._judge_unclosed()
        held, self._held = self._held, []
        for sentence in held:
            if not self.is_over:
                self._judge(sentence, is_last=True, has_calls=has_calls)
        if self.findings and not (self.stops or self.is_over or has_calls) and letters_in(self.text) < _MIN_LETTERS:
            self._replace_answer(self.guards[0].context.no_answer())

    def checks(self) -> list[Check]:
        """Return the faults that were found, and what the guards compared."""
        failed = {finding.guard.name: finding.detail for finding in self.findings}
        passed = [
            (guard.name, said) for guard in self.guards if guard.name not in failed and (said := guard.compared())
        ]
        return [
            *(Check(name, "failed", detail) for name, detail in failed.items()),
            *(Check(name, "passed", said) for name, said in passed),
        ]

    @property
    def fault(self) -> Fault | None:
        """The fault that ended a first try."""
        return self.findings[0].fault if self.stops and self.findings else None

    def notes(self) -> list[str]:
        """Return the receipt's notes on sentences at fault that were left out or replaced."""
        if self.stops:
            return []
        left = "was replaced" if self.is_over else "a sentence was left out"
        return [f"{detail}; {left}" for detail in dict.fromkeys(finding.detail for finding in self.findings)]

    def _show_ahead(self) -> None:
        pending = self._splitter.pending
        if len(pending) > self._ahead and pending.strip():
            self.show(pending[self._ahead :])
            self._ahead = len(pending)

    def _judge(self, sentence: Sentence, *, is_last: bool = False, has_calls: bool = False) -> None:
        if sentence.is_code:
            self._code.append(sentence)
        else:
            self._code.clear()
        if self._held:
            self._held.append(sentence)
            return
        finding = find_fault(self.guards, sentence, ignores_waiting=has_calls)
        if finding and finding.guard.waits and not is_last:
            self._held.append(sentence)
        elif finding:
            self._take_fault(finding, sentence)
        else:
            self.kept.append(sentence.text)
            if rest := sentence.text[self._ahead :]:
                self.show(rest)
            # a long sentence may be cut before the end of what is shown of it
            self._ahead = max(0, self._ahead - len(sentence.text))

    def _judge_unclosed(self) -> None:
        """Check as prose what stands behind a fence that was never closed; it was shown as code."""
        is_prose = self._splitter.is_in_code and not self.is_over and self.guards
        if not is_prose or self.guards[0].context.role in ("coder", "math"):
            return
        for line in self._code:
            if finding := find_fault(self.guards, Sentence(line.text)):
                self.findings.append(GuardFinding(finding.guard, finding.detail, is_in_code=True))
                self.is_over = self.is_ahead = True
                if not self.stops:
                    self._replace_answer(finding.guard.replacement() or self.guards[0].context.no_answer())
                return

    def _take_fault(self, finding: GuardFinding, sentence: Sentence) -> None:
        self.is_ahead = self.is_ahead or self._ahead > 0
        self._ahead = 0
        is_first = all(other.guard is not finding.guard for other in self.findings)
        self.findings.append(finding)
        if self.stops:
            self.is_over = True
        elif finding.voids_answer:
            self._replace_answer(finding.guard.replacement() or finding.guard.context.no_answer())
        elif is_first and (line := finding.guard.replacement()):
            indent = sentence.text[: len(sentence.text) - len(sentence.text.lstrip())]
            tail = "\n" if sentence.text.endswith("\n") else ""
            self._keep(f"{indent}{line}{tail}")

    def _keep(self, text: str) -> None:
        self.kept.append(text)
        if not self.is_ahead:
            self.show(text)

    def _replace_answer(self, line: str) -> None:
        """Let one line stand for the whole answer."""
        self.is_ahead = self.is_ahead or self.has_begun
        self.kept.clear()
        self.is_over = True
        if line:
            self._keep(line)


def find_fault(guards: Sequence[Guard], sentence: Sentence, *, ignores_waiting: bool = False) -> GuardFinding | None:
    """Return the first fault of a sentence."""
    if not sentence.text.strip():
        return None
    for guard in guards:
        if not (ignores_waiting and guard.waits) and (detail := guard.check_sentence(sentence)):
            return GuardFinding(guard, detail, sentence.is_code)
    return None


def find_whole_fault(guards: Sequence[Guard], text: str) -> GuardFinding | None:
    """Return the first fault that only the whole answer shows."""
    found = ((guard, guard.check_answer(text)) for guard in guards)
    return next((GuardFinding(guard, detail) for guard, detail in found if detail), None)
