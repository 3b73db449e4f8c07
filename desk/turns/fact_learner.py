"""Learn lasting facts from messages in the background: a model proposes them, the memory's rules accept."""

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
from qwendesk.engines.pool import ModelPool
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import is_grounded
from qwendesk.memory.records import CATEGORIES, Category, Fact, NewFact, TurnLine
from qwendesk.models.card import SelectedModel
from qwendesk.prompt_quoting import indented
from qwendesk.prompts import render

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
