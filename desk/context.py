"""What a model is told of the past, beside the newest turns: the summary of the older ones, facts about the person."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from qwendesk.memory.base import KnownFact, StoredContext
from qwendesk.prompts import render
from qwendesk.quoting import quoted

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
