"""Learn lasting facts from what people say, in the background: a model proposes, the memory's rules accept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast

import json_repair
from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.desk.turns.background import Over
from qwendesk.engines.pool import ModelPool
from qwendesk.engines.selected_model import SelectedModel
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import is_grounded
from qwendesk.memory.records import CATEGORIES, Category, Fact, NewFact, TurnLine
from qwendesk.prompts import render
from qwendesk.quoting import indented

_LARGE_ENOUGH = 2.0
"""Billions of parameters; smaller models note what nobody said."""
_SURE = 0.8
_LONGEST = 2000
_SHORTEST = 8
"""Characters of a message that may hold a fact; Chinese says much in few."""
_KNOWN = 30
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
class Learner:
    """The job: reads each message once, and keeps what is said of the person who wrote it."""

    memory: Memory
    pool: ModelPool
    wish: Literal["auto", "on", "off"] = "auto"
    """``auto``: with models of two billion parameters and more."""
    prompts: Path | None = None

    async def __call__(self, over: Over) -> None:
        """Read what the conversation holds that was not read yet."""
        choice = None if self.wish == "off" else await self.pool.choose("general", fetch=False)
        if choice is None or not self._trusts(choice):
            return
        unread = await self.memory.summaries.unlearned(over.inbound.conversation, channel=over.inbound.channel)
        if unread is None or not unread.lines:
            return
        by_person = sorted((line for line in unread.lines if line.person), key=lambda line: str(line.person))
        for person, lines in groupby(by_person, key=lambda line: str(line.person)):
            await self._learn(person, [line for line in lines if len(line.text) >= _SHORTEST], choice)
        await self.memory.summaries.mark_learned(unread)

    def _trusts(self, choice: SelectedModel) -> bool:
        size = choice.card.parameters
        return self.wish == "on" or size <= 0 or size >= _LARGE_ENOUGH

    async def _learn(self, person: str, lines: Sequence[TurnLine], choice: SelectedModel) -> None:
        known = await self.memory.people.get(person)
        if not lines or known is None or not known.remembers:
            return
        proposed = await self._ask(lines, await self.memory.facts.known(person, limit=_KNOWN), choice)
        facts = [fact for item in proposed if (fact := sourced(item, lines))]
        if facts:
            await self.memory.facts.learn(person, facts)

    async def _ask(self, lines: Sequence[TurnLine], known: list[Fact], choice: SelectedModel) -> list[Any]:
        model = await self.pool.load(choice)
        system = render("facts", folder=self.prompts, known=known)
        said = "\n\n".join(f"Message: {indented(line.text[:_LONGEST])}" for line in lines)
        messages = [SystemMessage(system), HumanMessage(said)]
        answer = await model.ainvoke(messages, think=False, temperature=0.0, max_tokens=400, json_schema=_SCHEMA)
        return facts_in(answer.text)


def facts_in(text: str) -> list[Any]:
    """Return the items of a model's JSON, also where it is a little broken."""
    try:
        found = json.loads(text)
    except ValueError:
        found = json_repair.loads(text)
    items = found.get("facts") if isinstance(found, dict) else None
    return items if isinstance(items, list) else []


def sourced(item: Any, lines: Sequence[TurnLine]) -> NewFact | None:
    """Return a proposed fact with the newest message that says so; None where it is no fact or none does."""
    if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in ("key", "value")):
        return None
    source = next((line for line in reversed(lines) if is_grounded(item["value"], line.text)), None)
    category = item.get("category")
    known = cast(Category, category) if category in CATEGORIES else "other"
    return NewFact(item["key"], item["value"], known, _SURE, source.id) if source else None
