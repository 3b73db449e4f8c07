"""What a model is told of the past, beside the newest turns: the summary of the older ones, facts about the person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwendesk.memory.records import KnownFact, StoredContext, StoredMessage, StoredTurn
from qwendesk.messages import Role, as_role
from qwendesk.prompts import render
from qwendesk.quoting import quoted
from qwendesk.routing.base import ConversationContext

_BYTES_A_TOKEN = 3

_AROUND = 8

"""Tokens that a chat template writes around a message."""

_FACTS_CHARS = 2000

"""All facts together; the newest come first where there are more."""


def background(stored: StoredContext, folder: Path | None = None) -> str:
    """Return summary and facts as a model reads them; empty where there are none."""
    facts = within(stored.facts)
    summary = quoted(stored.summary.text) if stored.summary else None
    return render("background", folder=folder, facts=facts, summary=summary) if facts or summary else ""


def within(facts: Iterable[KnownFact], characters: int = _FACTS_CHARS) -> list[KnownFact]:
    """Return the newest facts that fit, oldest first: what is already in a model's cache stays where it is."""
    kept: list[KnownFact] = []
    for fact in reversed(list(facts)):
        characters -= len(fact.key) + len(fact.value) + 4
        if characters < 0:
            break
        kept.append(fact)
    return kept[::-1]


def tokens_of(texts: Iterable[str]) -> int:
    """Estimate the tokens of messages, rather too many than too few."""
    return sum(len(text.encode("utf-8", errors="replace")) // _BYTES_A_TOKEN + _AROUND for text in texts)


_QUESTIONS = 5

"""How many of the person's last messages are looked at."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the last turn's receipt says."""

    language: str | None = None
    role: Role | None = None


def known_of(turn: StoredTurn | None) -> Known:
    """Return what a stored turn's receipt says."""
    receipt = turn.receipt if turn else None
    return Known(receipt.get("language"), as_role(str(receipt.get("role")))) if receipt else Known()


def past_of(history: Sequence[StoredMessage], role: Role | None) -> ConversationContext:
    """Return what the older messages tell of where the next one belongs."""
    asked = [message for message in history if message.role == "user"]
    answer = history[-1].text if history and history[-1].role == "assistant" else ""
    for age, message in enumerate(reversed(asked), 1):
        pictures = tuple(part for part in message.attachments if part.kind == "image")
        if pictures:
            return ConversationContext(role, _texts(asked), answer, pictures, age)
    return ConversationContext(role, _texts(asked), answer)


def _texts(asked: list[StoredMessage]) -> tuple[str, ...]:
    return tuple(message.text for message in asked[-_QUESTIONS:])
