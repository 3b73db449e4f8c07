"""Background jobs that fill the memory by a model: summaries of older turns, and lasting facts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast

import json_repair
from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.desk.turns.background import FinishedTurn
from qwendesk.engines.context_window import estimate_text_tokens
from qwendesk.engines.pool import ModelPool
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import is_grounded
from qwendesk.memory.records import CATEGORIES, Category, Fact, NewFact, TurnLine, Unread
from qwendesk.models.card import SelectedModel
from qwendesk.prompt_quoting import indented
from qwendesk.prompts import render

_START_SHARE = 0.5
"""Share of the context window from which the history is summarised."""
_KEEP_SHARE = 0.2
"""Share of the window for the newest turns, which are not summarised."""
_READ_SHARE = 0.5
"""Share of the window that one summary covers."""
_MAX_MESSAGES = 150
"""Messages from which the history is summarised regardless of its length: a turn loads no more."""
_MAX_SUMMARY_WORDS = 200
_MIN_PARAMETERS_BILLIONS = 2.0
"""Smaller models propose facts that no message contains."""
_CONFIDENCE = 0.8
_MAX_MESSAGE_CHARS = 2000
_MIN_MESSAGE_CHARS = 8
"""Shortest message with a fact; Chinese needs few characters."""
_MAX_KNOWN_FACTS = 30
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "facts": {
            "type": "array",
            "maxItems": 5,
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string", "maxLength": 40},
                    "value": {"type": "string", "maxLength": 200},
                    "category": {"enum": list(CATEGORIES)},
                },
                "required": ["key", "value", "category"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["facts"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Summariser:
    """Background job that summarises a conversation once its history exceeds its share of the window."""

    memory: Memory
    pool: ModelPool
    window: int
    """Context window of local engines, in tokens."""
    prompts: Path | None = None

    async def __call__(self, turn: FinishedTurn) -> None:
        """Summarise the turn's conversation where its history is long enough."""
        window = min(self.window, turn.choice.card.context) if turn.choice else self.window
        if turn.tokens < window * _START_SHARE and turn.messages < _MAX_MESSAGES:
            return
        unread = await self.memory.summaries.pending(turn.inbound.conversation, channel=turn.inbound.channel)
        if unread is None or not (
            lines := oldest_turns(unread.lines, int(window * _KEEP_SHARE), int(window * _READ_SHARE))
        ):
            return
        choice = await self.pool.choose("general", fetch=False)
        if choice is None:
            return
        model = await self.pool.load(choice)
        system = render("summary", folder=self.prompts, words=_MAX_SUMMARY_WORDS)
        messages = [SystemMessage(system), HumanMessage(transcript(unread, lines))]
        answer = await model.ainvoke(messages, think=False, temperature=0.2, max_tokens=_MAX_SUMMARY_WORDS * 3)
        if text := answer.text.strip():
            await self.memory.summaries.add(unread, lines[-1].sequence, text, choice.card.name)


def oldest_turns(lines: Sequence[TurnLine], keep: int, read: int) -> list[TurnLine]:
    """Return the oldest whole turns, at most ``read`` tokens of them, but none of the newest ``keep`` tokens."""
    turns = sorted({line.sequence for line in lines})
    sizes = {turn: estimate_text_tokens(line.text for line in lines if line.sequence == turn) for turn in turns}
    kept = 0
    # the newest two are kept: one may still be running, and it refers to the other
    while turns and (len(turns) > len(sizes) - 2 or kept + sizes[turns[-1]] <= keep):
        kept += sizes[turns.pop()]
    last, taken = 0, 0
    for turn in turns:
        if taken + sizes[turn] > read and last:
            break
        last, taken = turn, taken + sizes[turn]
    return [line for line in lines if line.sequence <= last]


def transcript(unread: Unread, lines: Sequence[TurnLine]) -> str:
    """Return the lines as a transcript, after the previous summary."""
    before = [f"Before: {indented(unread.summary.text)}"] if unread.summary else []
    said = [f"{'Person' if line.role == 'user' else 'Assistant'}: {indented(_cut(line.text))}" for line in lines]
    return "\n\n".join([*before, *said])


def _cut(text: str, longest: int = 6000) -> str:
    return text if len(text) <= longest else f"{text[: longest // 2]} … {text[-longest // 2 :]}"


@dataclass(frozen=True, slots=True)
class FactLearner:
    """Background job that reads each message once and stores facts about its person."""

    memory: Memory
    pool: ModelPool
    mode: Literal["auto", "on", "off"] = "auto"
    """``auto``: with models of two billion parameters or more."""
    prompts: Path | None = None

    async def __call__(self, turn: FinishedTurn) -> None:
        """Read the messages of the turn's conversation that were not read yet."""
        choice = None if self.mode == "off" else await self.pool.choose("general", fetch=False)
        if choice is None or not self._is_large_enough(choice):
            return
        unread = await self.memory.summaries.unlearned(turn.inbound.conversation, channel=turn.inbound.channel)
        if unread is None or not unread.lines:
            return
        by_person = sorted((line for line in unread.lines if line.person), key=lambda line: str(line.person))
        for person, lines in groupby(by_person, key=lambda line: str(line.person)):
            await self._learn(person, [line for line in lines if len(line.text) >= _MIN_MESSAGE_CHARS], choice)
        await self.memory.summaries.mark_learned(unread)

    def _is_large_enough(self, choice: SelectedModel) -> bool:
        size = choice.card.parameters
        return self.mode == "on" or size <= 0 or size >= _MIN_PARAMETERS_BILLIONS

    async def _learn(self, person: str, lines: Sequence[TurnLine], choice: SelectedModel) -> None:
        known = await self.memory.people.get(person)
        if not lines or known is None or not known.remembers:
            return
        proposed = await self._ask(lines, await self.memory.facts.known(person, limit=_MAX_KNOWN_FACTS), choice)
        facts = [fact for item in proposed if (fact := sourced(item, lines))]
        if facts:
            await self.memory.facts.learn(person, facts)

    async def _ask(self, lines: Sequence[TurnLine], known: list[Fact], choice: SelectedModel) -> list[Any]:
        model = await self.pool.load(choice)
        system = render("facts", folder=self.prompts, known=known)
        said = "\n\n".join(f"Message: {indented(line.text[:_MAX_MESSAGE_CHARS])}" for line in lines)
        messages = [SystemMessage(system), HumanMessage(said)]
        answer = await model.ainvoke(messages, think=False, temperature=0.0, max_tokens=400, json_schema=_SCHEMA)
        return facts_in(answer.text)


def facts_in(text: str) -> list[Any]:
    """Return the items of a model's JSON; small syntax errors are repaired."""
    try:
        found = json.loads(text)
    except ValueError:
        found = json_repair.loads(text)
    items = found.get("facts") if isinstance(found, dict) else None
    return items if isinstance(items, list) else []


def sourced(item: Any, lines: Sequence[TurnLine]) -> NewFact | None:
    """Return a proposed fact with the newest message that contains it; None if no message does."""
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in ("key", "value")):
        return None
    source = next((line for line in reversed(lines) if is_grounded(item["value"], line.text)), None)
    category = item.get("category")
    known = cast(Category, category) if category in CATEGORIES else "other"
    return NewFact(item["key"], item["value"], known, _CONFIDENCE, source.id) if source else None
