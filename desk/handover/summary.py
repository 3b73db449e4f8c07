"""What an operator reads first of a conversation that was handed over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from qwendesk.desk.handover.reasons import IN_WORDS, Reason
from qwendesk.desk.handover.wish import wants_person
from qwendesk.messages import Receipt
from qwendesk.prompt_quoting import one_line
from qwendesk.routing.signals.language import english_name

_MAX_QUESTION_CHARS = 500
_MAX_FACTS = 12
_WISH_CHARS = 20
"""Characters beside the words of a wish, such as greetings."""


@dataclass(frozen=True, slots=True)
class HandoverSummary:
    """A conversation at its handover; nothing in it was written by a model."""

    reason: str
    """Why it was handed over, in words."""
    language: str
    """English name of the customer's language; empty: unknown."""
    question: str
    """What the customer wants, in the customer's words: the newest message that is more than a wish for a person."""
    facts: tuple[str, ...] = ()
    """Facts known about the customer."""
    roles: tuple[str, ...] = ()
    """Roles that answered, with their models."""
    tools: tuple[str, ...] = ()
    """Tools that were called, with their outcomes."""
    documents: tuple[str, ...] = ()
    """Documents in which an answer was found or looked for."""
    failed_checks: tuple[str, ...] = ()
    """Checks that answers failed."""

    def lines(self) -> list[str]:
        """Return the summary as lines of text."""
        tried = {"Answered by": self.roles, "Tools": self.tools, "Documents": self.documents}
        named = {"Facts": self.facts, **tried, "Failed checks": self.failed_checks}
        first = [
            f"Reason: {self.reason}",
            f"Language: {self.language or 'unknown'}",
            f"Question: {self.question or '-'}",
        ]
        return first + [f"{name}: {'; '.join(values)}" for name, values in named.items() if values]


def handover_summary(
    reason: Reason,
    messages: Sequence[str],
    receipts: Iterable[Receipt] = (),
    *,
    language: str | None = None,
    facts: Sequence[str] = (),
    detail: str = "",
) -> HandoverSummary:
    """Return the summary of a conversation for an operator.

    Args:
        reason: why it was handed over.
        messages: the customer's messages, the oldest first.
        receipts: those of the bot's answers, the oldest first.
        language: the customer's language, as an ISO 639-1 code; None: that of the newest receipt.
        facts: facts known about the customer.
        detail: what was found, such as the name of a failed tool.
    """
    made = list(receipts)
    code = language or next((receipt.language for receipt in reversed(made) if receipt.language), None)
    why = IN_WORDS[reason]
    return HandoverSummary(
        reason=f"{why} ({detail})" if detail else why,
        language=english_name(code) or code or "",
        question=open_question(messages),
        facts=tuple(one_line(fact) for fact in facts[:_MAX_FACTS]),
        roles=_each_once(f"{one.role} ({one.answered_by or one.model})" for one in made),
        tools=_each_once(f"{use.name}: {_outcome(use.ok, use.held)}" for one in made for use in one.tools),
        documents=_each_once(source.citation for one in made for search in one.searches for source in search.sources),
        failed_checks=_each_once(
            check.name
            for one in made
            for check in one.checks
            if check.outcome == "failed" and check.name not in one.mended
        ),
    )


def open_question(messages: Sequence[str]) -> str:
    """Return the newest message that says more than that a person is wanted, else the newest one, in one line."""
    told = [text for text in messages if text.strip()]
    wanted = next((text for text in reversed(told) if not _is_only_wish(text)), told[-1] if told else "")
    line = one_line(wanted)
    return line if len(line) <= _MAX_QUESTION_CHARS else f"{line[: _MAX_QUESTION_CHARS - 1]}…"


def _is_only_wish(text: str) -> bool:
    """Return whether a message says little more than the words of a wish for a person."""
    wish = wants_person(text)
    return wish is not None and len(text) <= _WISH_CHARS + 2 * len(wish.words)


def _outcome(ok: bool, held: str | None) -> str:
    return "done" if ok else f"not run, {held}" if held else "failed"


def _each_once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, values)))
