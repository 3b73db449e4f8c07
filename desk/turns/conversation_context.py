"""Context of a conversation: older turns, summary and facts for the model, earlier turns for the router."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cachetools import FIFOCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from qwendesk.memory.memory import Memory
from qwendesk.memory.records import KnownFact, StoredContext, StoredMessage, StoredTurn
from qwendesk.messages import Inbound, Role, as_role
from qwendesk.prompt_quoting import quoted
from qwendesk.prompts import render
from qwendesk.routing.base import ConversationContext

_NOUNS = {"image": "picture", "audio": "recording", "document": "document"}
_MAX_FACTS_CHARS = 2000
"""Characters of all facts; the newest ones are kept."""
_MAX_CACHED_CONVERSATIONS = 1000
"""Conversations whose last turn is cached."""
_MAX_QUESTIONS = 5
"""Last messages of the person that the router gets."""


def background_prompt(stored: StoredContext, folder: Path | None = None) -> str:
    """Return summary and facts as text for the model; empty if there are none."""
    facts = newest_facts(stored.facts)
    summary = quoted(stored.summary.text) if stored.summary else None
    return render("background", folder=folder, facts=facts, summary=summary) if facts or summary else ""


def newest_facts(facts: Iterable[KnownFact], characters: int = _MAX_FACTS_CHARS) -> list[KnownFact]:
    """Return the newest facts that fit, oldest first, so that the prompt's beginning stays in a model's cache."""
    kept: list[KnownFact] = []
    for fact in reversed(list(facts)):
        characters -= len(fact.key) + len(fact.value) + 4
        if characters < 0:
            break
        kept.append(fact)
    return kept[::-1]


@dataclass(frozen=True, slots=True)
class LastTurn:
    """A conversation's last turn, as far as the next one uses it."""

    language: str | None = None
    role: Role | None = None
    waits_for: tuple[str, ...] = ()
    """Tools whose calls wait for an approval."""


class LastTurns:
    """The last turns of conversations, from a cache or the memory.

    Args:
        memory: stores conversations.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._cached = FIFOCache[tuple[str, str], LastTurn](_MAX_CACHED_CONVERSATIONS)

    async def find(self, inbound: Inbound, history: Sequence[StoredMessage]) -> LastTurn:
        """Return the last turn of a message's conversation."""
        if not history:
            return LastTurn()
        key = (inbound.channel, inbound.conversation)
        if key not in self._cached:
            stored = await self._memory.history.last_turn(inbound.conversation, channel=inbound.channel)
            self._cached[key] = _last_turn_of(stored)
        return self._cached[key]

    def keep(self, inbound: Inbound, turn: LastTurn) -> None:
        """Keep the turn that has become the last one."""
        self._cached[inbound.channel, inbound.conversation] = turn

    def drop(self, inbound: Inbound) -> None:
        """Drop the turn of a conversation."""
        self._cached.pop((inbound.channel, inbound.conversation), None)

    def clear(self) -> None:
        """Drop all turns."""
        self._cached.clear()


def _last_turn_of(turn: StoredTurn | None) -> LastTurn:
    """Return what the next turn uses of a stored one."""
    receipt = turn.receipt if turn else None
    if not receipt:
        return LastTurn()
    return LastTurn(receipt.get("language"), as_role(str(receipt.get("role"))), tuple(receipt.get("waits_for", ())))


def routing_context(history: Sequence[StoredMessage], role: Role | None) -> ConversationContext:
    """Return the last turns of a history, for routing the next message."""
    asked = [message for message in history if message.role == "user"]
    answer = history[-1].text if history and history[-1].role != "user" else ""
    for age, message in enumerate(reversed(asked), 1):
        pictures = tuple(part for part in message.attachments if part.kind == "image")
        if pictures:
            return ConversationContext(role, _texts(asked), answer, pictures, age)
    return ConversationContext(role, _texts(asked), answer)


def _texts(asked: list[StoredMessage]) -> tuple[str, ...]:
    return tuple(message.text for message in asked[-_MAX_QUESTIONS:])


def as_messages(history: list[StoredMessage]) -> list[BaseMessage]:
    """Return stored messages in LangChain's form; files of older turns are only mentioned."""
    return [_as_message(message) for message in history]


def _as_message(message: StoredMessage) -> BaseMessage:
    if message.role != "user":
        return AIMessage(message.text)
    kinds = {part.kind for part in message.attachments}
    mentions = [f"\n[a {noun} came with this message]" for kind, noun in _NOUNS.items() if kind in kinds]
    return HumanMessage(message.text + "".join(mentions))
