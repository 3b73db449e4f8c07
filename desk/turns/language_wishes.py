"""The language that a person wishes for all answers: of the conversation, or as a fact about the person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qwendesk.agents.state import LastingLanguage
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import mentioning
from qwendesk.memory.records import KnownFact, NewFact, StoredContext
from qwendesk.messages import Inbound
from qwendesk.routing.signals.language import english_name, language_code
from qwendesk.routing.signals.lasting_language import language_wish

FACT = "language of answers"
"""Key of the fact; its value is the English name of a language."""


@dataclass(frozen=True, slots=True)
class LanguageWishes:
    """Keeps what people wish.

    A wish is kept as a fact about the person, which holds in all of their conversations; where no facts are kept, it is
    kept as a setting of the conversation.
    """

    memory: Memory
    keeps_facts: bool = True
    """Whether the settings allow facts about people."""

    async def current(self, inbound: Inbound, stored: StoredContext) -> LastingLanguage | None:
        """Return the wish that holds for a message, after keeping the one that the message states.

        Args:
            inbound: a message of a conversation that exists.
            stored: the context of its turn.
        """
        held = _held(stored)
        wish = language_wish(inbound.text)
        if wish is None or (held and held.code in (wish.code, wish.this_answer)):
            return held  # "answer in French again" ends no wish for French
        if wish.code is None:
            await self._end(inbound, held)
            return None
        is_fact = self.keeps_facts and await self._learn(inbound, wish.code)
        await self._set(inbound, None if is_fact else wish.code)
        return LastingLanguage(wish.code, "person" if is_fact else "conversation", is_new=True)

    async def end_matching(self, what: str, conversation: str, channel: str, *, everything: bool = False) -> str | None:
        """End the wish of a conversation where a text names it; return its language in English.

        Args:
            what: the text.
            conversation: the conversation's key.
            channel: its channel.
            everything: whether the wish is meant whatever the text names.
        """
        code = await self.memory.history.answer_language(conversation, channel=channel)
        name, is_meant = english_name(code), mentioning(what)
        if code is None or name is None or not (everything or (is_meant and is_meant(FACT, name))):
            return None
        await self.memory.turns.set_answer_language(conversation, None, channel=channel)
        return name

    async def _learn(self, inbound: Inbound, code: str) -> bool:
        person = await self.memory.people.get_or_create(inbound.person, channel=inbound.channel)
        fact = NewFact(FACT, english_name(code) or code, "preference")
        return bool((await self.memory.facts.learn(person.id, [fact])).kept)

    async def _end(self, inbound: Inbound, held: LastingLanguage | None) -> None:
        if held and held.source == "person":
            person = await self.memory.people.get_or_create(inbound.person, channel=inbound.channel)
            await self.memory.facts.close(person.id, FACT)
        await self._set(inbound, None)

    async def _set(self, inbound: Inbound, code: str | None) -> None:
        await self.memory.turns.set_answer_language(inbound.conversation, code, channel=inbound.channel)


def _held(stored: StoredContext) -> LastingLanguage | None:
    if stored.answer_language:
        return LastingLanguage(stored.answer_language, "conversation")
    code = _fact_code(stored.facts)
    return LastingLanguage(code, "person") if code else None


def _fact_code(facts: Iterable[KnownFact]) -> str | None:
    said = next((fact.value for fact in facts if fact.key == FACT), "")
    return language_code(said)
