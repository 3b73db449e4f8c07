"""Where an answer was read: the passages that it cites, or the one that it was plainly taken from."""

from __future__ import annotations

import re
from collections.abc import Iterable

from qwendesk.memory.knowledge.terms import asked_terms
from qwendesk.messages import ToolUse
from qwendesk.tools.knowledge import NAME

_PASSAGE = re.compile(r"^\[(\d+)\] (.+)\n((?:(?!^\[\d+\] ).*\n?)*)", re.MULTILINE)
_CITED = re.compile(r"\[(\d+)\]")
_SHARED = 2
"""Terms that an answer without citations has to share with a passage to count as taken from it."""


def sources(answer: str, uses: Iterable[ToolUse]) -> list[str]:
    """Return document and place of the passages that an answer rests on, each with its number."""
    found = [use.result for use in uses if use.ok and use.name == NAME]
    if not found:
        return []
    passages = {number: (place, text) for number, place, text in _PASSAGE.findall(found[-1])}
    cited = [number for number in dict.fromkeys(_CITED.findall(answer)) if number in passages]
    return [f"[{number}] {passages[number][0]}" for number in cited or _taken_from(answer, passages)]


def _taken_from(answer: str, passages: dict[str, tuple[str, str]]) -> list[str]:
    said = set(asked_terms(answer))
    shared = {number: len(said & set(asked_terms(f"{place} {text}"))) for number, (place, text) in passages.items()}
    best = max(shared, key=lambda number: shared[number], default=None)
    return [best] if best and shared[best] >= _SHARED else []
