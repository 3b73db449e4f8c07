"""``/forget``: delete facts by words or numbers, or a person with all data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qwendesk.desk.translations import say, words, words_of_all
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import tidy
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.records import Fact, NewFact
from qwendesk.search_terms import fold

_NUMBERS = re.compile(r"\d{1,4}\.?(?:(?:,\s*|\s+)\d{1,4}\.?)*")
_SENTENCE_ENDS = " .!।。！"
NOTE_PREFIX = "note "
"""Prefix of a note's key where the person gave none."""
_MAX_FACTS = 200
_MAX_ECHO_CHARS = 60
"""Characters of the request that are repeated in the answer."""


@dataclass(frozen=True, slots=True)
class Requester:
    """The person who gave a command."""

    name: str
    """The person's id on the channel."""
    channel: str
    language: str | None = None
    event: str | None = None
    """The id of the accepted message."""


@dataclass(frozen=True, slots=True)
class ForgetCommand:
    """Deletes facts or all data on a person's request; asks for clarification where it is ambiguous."""

    memory: Memory

    async def run(self, what: str, requester: Requester) -> str:
        """Return the answer to ``/forget WHAT``, in Markdown."""
        if not what:
            return say("forget_what", requester.language)
        if is_deletion_request(what, requester.language):
            return await self._person(requester)
        if _is_me(what, requester.language):
            return say(
                "forget_me_ask", requester.language, command=f"/forget me {words('word_yes', requester.language)[0]}"
            )
        person = await self.memory.people.meet(requester.name, channel=requester.channel)
        if _is(what, words("word_all", requester.language)) or _NUMBERS.fullmatch(what):
            shown = await self.memory.facts.shown(person.id)
            if not shown:
                return await shown_list(self.memory.facts, person.id, requester.language)
            if chosen := _chosen(what, shown):
                return _gone(await self.memory.facts.delete(person.id, chosen), requester.language)
        return await self._mentioned(what, person.id, requester.language)

    async def _mentioned(self, what: str, person: str, language: str | None) -> str:
        found = await self.memory.facts.mentioning(person, what)
        if not found:
            return say("forget_none", language, what=what[:_MAX_ECHO_CHARS])
        if len(found) == 1:
            return _gone(await self.memory.facts.delete(person, [found[0].id]), language)
        await self.memory.facts.show(person, [fact.id for fact in found])
        return f"{say('forget_which', language)}\n\n{_numbered(found)}\n\n{say('forget_how', language)}"

    async def _person(self, requester: Requester) -> str:
        # created first: also an unknown person has sent commands that are deleted
        person = await self.memory.people.meet(requester.name, channel=requester.channel)
        gone = (await self.memory.people.forget(person.id, answering=requester.event)).counts
        return say("forgot_you", requester.language, messages=gone["message"], facts=gone["fact"])


async def shown_list(facts: Facts, person: str, language: str | None) -> str:
    """Return a person's facts as a numbered list and store the ids behind the numbers."""
    known = list(reversed(await facts.known(person, limit=_MAX_FACTS)))
    if not known:
        return say("memory_empty", language)
    await facts.show(person, [fact.id for fact in known])
    return f"{_numbered(known)}\n\n{say('forget_how', language)}"


def is_deletion_request(what: str, language: str | None = None) -> bool:
    """Return whether the argument of ``/forget`` is the confirmed request to delete all data of the person."""
    me, _, sure = what.strip().partition(" ")
    return _is(me, words("word_me", language)) and bool(sure.strip()) and _is(sure, words_of_all("word_yes"))


def _is_me(what: str, language: str | None) -> bool:
    """Return whether a request to delete the person lacks its confirmation."""
    said = what.split()
    return len(said) <= 2 and _is(said[0], words("word_me", language))


def _is(said: str, meant: Sequence[str]) -> bool:
    """Compare a text with words, without regard to case, accents and final punctuation."""
    return fold(said).strip(_SENTENCE_ENDS) in {fold(word) for word in meant}


def _chosen(what: str, shown: Sequence[str]) -> list[str]:
    """Return the ids of the numbered facts; none where a number is out of range and so a word like others."""
    if not _NUMBERS.fullmatch(what):
        return list(shown)
    numbers = [int(number) for number in re.findall(r"\d+", what)]
    return [shown[number - 1] for number in numbers] if all(0 < one <= len(shown) for one in numbers) else []


def _numbered(facts: Sequence[Fact]) -> str:
    return "\n".join(f"{number}. {_line(fact)}" for number, fact in enumerate(facts, 1))


def _line(fact: Fact) -> str:
    until = f" – {fact.valid_to:%Y-%m-%d}" if fact.valid_to else ""
    return f"{told(fact)} ({fact.valid_from:%Y-%m-%d}{until})"


def told(fact: Fact) -> str:
    """Return a fact in Markdown; the key of a note repeats its beginning and is left out."""
    is_note = fact.key.startswith(NOTE_PREFIX) and tidy(NewFact(NOTE_PREFIX + fact.value, "")).key.startswith(fact.key)
    return f"**{NOTE_PREFIX.strip() if is_note else fact.key}**: {fact.value}"


def _gone(facts: Sequence[Fact], language: str | None) -> str:
    if not facts:
        return say("forget_gone", language)
    lines = [told(fact) for fact in facts]
    listed = "\n\n" + "\n".join(f"- {line}" for line in lines)
    return say("forgotten", language, facts=lines[0] if len(lines) == 1 else listed)
