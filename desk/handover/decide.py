"""Decide whether a conversation is handed over to a person: by a customer's message, and by the bot's answer to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from zlib import crc32

from qwendesk.agents.checks.answer_language import ANSWER_LANGUAGE
from qwendesk.agents.checks.tool_results import ADMITS_FAILURE, unresolved_failures
from qwendesk.agents.guards.promises import PromiseGuard
from qwendesk.agents.phrases import phrase
from qwendesk.desk.handover.anger import ANGRY, anger
from qwendesk.desk.handover.phrases import LETTER, WORD, PhraseTree, fold, words_of_phrase
from qwendesk.desk.handover.reasons import REASONS, Reason
from qwendesk.desk.handover.wish import wants_person
from qwendesk.messages import Receipt, Reply
from qwendesk.routing.signals.cues import UNSPACED_SCRIPTS
from qwendesk.settings import HandoverSettings
from qwendesk.tools.base import DESK_TOOLS

_MAX_QUESTIONS, _MAX_MARKS = 6, 24
"""Kept questions, and kept marks of a question."""
_MARK_VALUES = 1024
"""Different marks: few, so that a list of words does not tell which one was said."""
_SAME_SHARE = 0.6
"""Share of the marks of two questions that both have, from which they count as the same question."""
_MIN_MARKS = 3
"""Minimum marks of a question; shorter messages are "yes" and "thank you"."""
_NO_ANSWERS = ("no_answer", "not_done", "nothing_done", "not_in_documents")
"""The desk's own sentences that stand instead of an answer."""
Marks = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class HandoverDecision:
    """That a conversation is handed over, and why."""

    reason: Reason
    detail: str = ""
    """What was found, in words for operators; no text of the customer's."""
    keeps_answer: bool = False
    """Whether the customer gets the bot's answer, too."""


@dataclass(frozen=True, slots=True)
class HandoverSignals:
    """What is counted in a ticket until it is handed over; it holds no text."""

    angry: int = 0
    """Angry messages."""
    rated_down: int = 0
    """Answers that the customer rated as bad."""
    unsure: int = 0
    """The last answers in a row of which the desk was unsure."""
    questions: tuple[Marks, ...] = ()
    """Checksums of the words of the last questions."""

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> HandoverSignals:
        """Return the signals of stored values; what is missing or damaged counts as nothing."""
        counts = {name: values.get(name) for name in ("angry", "rated_down", "unsure")}
        kept = {name: count for name, count in counts.items() if isinstance(count, int)}
        stored = values.get("questions")
        questions = (
            tuple(tuple(marks) for marks in stored if isinstance(marks, list)) if isinstance(stored, list) else ()
        )
        return cls(**kept, questions=questions)

    def as_dict(self) -> dict[str, Any]:
        """Return the values to be stored."""
        return {
            "angry": self.angry,
            "rated_down": self.rated_down,
            "unsure": self.unsure,
            "questions": [list(marks) for marks in self.questions],
        }


def decide_by_message(
    text: str,
    signals: HandoverSignals,
    settings: HandoverSettings,
    *,
    language: str | None = None,
    is_rated_down: bool = False,
) -> HandoverDecision | None:
    """Return why a conversation is handed over before the bot answers; None: the bot answers.

    Args:
        text: the customer's message.
        signals: what was counted before this message.
        settings: which reasons hold.
        language: the conversation's language.
        is_rated_down: whether the message is an earlier one again, whose answer the customer rated as bad.
    """
    if is_rated_down:
        bad = signals.rated_down + 1
        return HandoverDecision("rated_down", f"{bad} bad ratings") if _holds(bad, settings.rated_down) else None
    return _first(_reasons_of_message(text, signals, settings, language))


def decide_by_reply(reply: Reply, signals: HandoverSignals, settings: HandoverSettings) -> HandoverDecision | None:
    """Return why a conversation is handed over after the bot's answer; None: it is not.

    Args:
        reply: the answer with its receipt.
        signals: what is counted with this message and answer: the result of ``count_turn``.
        settings: which reasons hold.
    """
    found = _first(_reasons_of_receipt(reply.receipt, signals, settings))
    return replace(found, keeps_answer=not says_nothing(reply)) if found else None


def count_turn(
    text: str, reply: Reply, signals: HandoverSignals, settings: HandoverSettings, *, is_rated_down: bool = False
) -> HandoverSignals:
    """Return the signals after a message and its answer.

    Args:
        text: the customer's message.
        reply: the answer.
        signals: what was counted before.
        settings: what counts as unsure.
        is_rated_down: whether the message is an earlier one again, whose answer the customer rated as bad.
    """
    unsure = signals.unsure + 1 if is_unsure(reply.receipt, settings) else 0
    if is_rated_down:
        return replace(signals, rated_down=signals.rated_down + 1, unsure=unsure)
    questions = (*signals.questions, question_marks(text))[-_MAX_QUESTIONS:]
    return replace(signals, angry=signals.angry + (anger(text) >= ANGRY), unsure=unsure, questions=questions)


def is_unsure(receipt: Receipt, settings: HandoverSettings) -> bool:
    """Return whether the desk was unsure: of the role, or whether its documents answer the question."""
    is_asked_for = receipt.requested_role is not None
    is_guessed = not receipt.answered_by and not is_asked_for and receipt.confidence < settings.min_confidence
    return is_guessed or any(search.outcome == "possible" for search in receipt.searches)


def says_nothing(reply: Reply) -> bool:
    """Return whether an answer only says that there is none."""
    codes = dict.fromkeys((reply.receipt.answer_language, reply.receipt.language, "en"))
    text = reply.text.strip()
    return not text or any(text == phrase(name, code) for name in _NO_ANSWERS for code in codes)


def topic(text: str, topics: Mapping[str, Iterable[str]]) -> str | None:
    """Return the first of the listed topics whose words a message has; None if it has none.

    Args:
        text: the message.
        topics: words and phrases by name of the topic, in any language; ``*`` behind a word stands for further letters.
    """
    plain = fold(text)
    words, letters = WORD.findall(plain), LETTER.findall(plain)
    for name, phrases in topics.items():
        spaced, unspaced = _topic_trees(tuple(phrases))
        if _occurs(spaced, words) or _occurs(unspaced, letters):
            return name
    return None


def question_marks(text: str) -> Marks:
    """Return checksums of what a question is about, each so short that it stands for many words of any language."""
    words = WORD.findall(fold(text))
    parts = [part for word in words for part in (_pairs(word) if UNSPACED_SCRIPTS.search(word) else (word,))]
    return tuple(sorted({crc32(part.encode()) % _MARK_VALUES for part in parts}))[:_MAX_MARKS]


def _reasons_of_message(
    text: str, signals: HandoverSignals, settings: HandoverSettings, language: str | None
) -> Iterator[HandoverDecision]:
    if settings.asked and (wish := wants_person(text, language)):
        yield HandoverDecision("asked", wish.kind)
    if settings.topics and (name := topic(text, settings.topics)):
        yield HandoverDecision("topic", name)
    if settings.anger and anger(text) >= ANGRY and _holds(signals.angry + 1, settings.anger):
        yield HandoverDecision("anger", f"{signals.angry + 1} angry messages")
    marks = question_marks(text)
    asked = 1 + sum(_is_same(marks, other) for other in signals.questions)
    if _holds(asked, settings.repeated):
        yield HandoverDecision("repeated", f"asked {asked} times")


def _reasons_of_receipt(
    receipt: Receipt, signals: HandoverSignals, settings: HandoverSettings
) -> Iterator[HandoverDecision]:
    held = [use.name for use in receipt.tools if use.held == "nobody to ask"]
    if settings.no_approver and held:
        yield HandoverDecision("no_approver", ", ".join(dict.fromkeys(held)))
    names = [use.name for use in receipt.tools]
    failed_tools = [use.name for use in unresolved_failures(receipt.tools, names) if use.name not in DESK_TOOLS]
    if settings.tool_failed and failed_tools:
        yield HandoverDecision("tool_failed", ", ".join(failed_tools))
    failed = [one.name for one in receipt.checks if one.outcome == "failed" and one.name not in receipt.mended]
    if settings.promise and PromiseGuard.name in failed:
        yield HandoverDecision("promise", PromiseGuard.name)
    left = [name for name in failed if name not in (PromiseGuard.name, ANSWER_LANGUAGE, ADMITS_FAILURE)]
    if settings.failed_checks and left:
        yield HandoverDecision("failed_checks", ", ".join(dict.fromkeys(left)))
    is_from_documents = receipt.answered_by == "the documents"
    if settings.unknown and is_from_documents and any(search.outcome == "unknown" for search in receipt.searches):
        yield HandoverDecision("unknown")
    if _holds(signals.unsure, settings.low_confidence):
        yield HandoverDecision("low_confidence", f"{signals.unsure} answers in a row")


def _first(found: Iterable[HandoverDecision]) -> HandoverDecision | None:
    return min(found, key=lambda one: REASONS.index(one.reason), default=None)


def _holds(count: int, limit: int) -> bool:
    return 0 < limit <= count


def _is_same(marks: Marks, other: Marks) -> bool:
    common = len(set(marks) & set(other))
    return common >= _MIN_MARKS and common >= _SAME_SHARE * len(set(marks) | set(other))


def _pairs(word: str) -> list[str]:
    return [word[place : place + 2] for place in range(max(1, len(word) - 1))]


def _occurs(tree: PhraseTree, tokens: list[str]) -> bool:
    return any(tree.longest(tokens, place)[1] for place in range(len(tokens)))


@lru_cache(maxsize=64)
def _topic_trees(phrases: tuple[str, ...]) -> tuple[PhraseTree, PhraseTree]:
    spaced, unspaced = PhraseTree(), PhraseTree()
    for line in filter(None, (fold(one).strip() for one in phrases)):
        if UNSPACED_SCRIPTS.search(line):
            unspaced.add(LETTER.findall(line), "t")
        else:
            spaced.add(words_of_phrase(line), "t")
    return spaced, unspaced
