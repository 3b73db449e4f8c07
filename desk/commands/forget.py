"""``/forget``: facts by their words or their numbers, and a person with all they wrote."""

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
_ENDS = " .!।。！"
NOTE = "note "
"""How the key of a note begins that has none of its own."""
_MOST = 200
_ECHO = 60
"""Characters of what was written that are said again."""


@dataclass(frozen=True, slots=True)
class Who:
    """Who gave a command."""

    name: str
    """The channel's own name of the person."""
    channel: str
    language: str | None = None
    event: str | None = None
    """The accepted message that the command is."""


@dataclass(frozen=True, slots=True)
class Forgetting:
    """Forgets what a person asks for, after a look at whether that is clear."""

    memory: Memory

    async def run(self, what: str, who: Who) -> str:
        """Return the answer to ``/forget WHAT``, in Markdown."""
        if not what:
            return say("forget_what", who.language)
        if is_goodbye(what, who.language):
            return await self._person(who)
        if _is_me(what, who.language):
            return say("forget_me_ask", who.language, command=f"/forget me {words('word_yes', who.language)[0]}")
        person = await self.memory.people.meet(who.name, channel=who.channel)
        if _is(what, words("word_all", who.language)) or _NUMBERS.fullmatch(what):
            shown = await self.memory.facts.shown(person.id)
            if not shown:
                return await shown_list(self.memory.facts, person.id, who.language)
            if chosen := _chosen(what, shown):
                return _gone(await self.memory.facts.delete(person.id, chosen), who.language)
        return await self._mentioned(what, person.id, who.language)

    async def _mentioned(self, what: str, person: str, language: str | None) -> str:
        found = await self.memory.facts.mentioning(person, what)
        if not found:
            return say("forget_none", language, what=what[:_ECHO])
        if len(found) == 1:
            return _gone(await self.memory.facts.delete(person, [found[0].id]), language)
        await self.memory.facts.show(person, [fact.id for fact in found])
        return f"{say('forget_which', language)}\n\n{_numbered(found)}\n\n{say('forget_how', language)}"

    async def _person(self, who: Who) -> str:
        # met first: also of somebody of whom nothing is known there are the commands they gave
        person = await self.memory.people.meet(who.name, channel=who.channel)
        gone = (await self.memory.people.forget(person.id, answering=who.event)).counts
        return say("forgot_you", who.language, messages=gone["message"], facts=gone["fact"])


async def shown_list(facts: Facts, person: str, language: str | None) -> str:
    """Return what is known of a person as a numbered list, and keep what its numbers mean."""
    known = list(reversed(await facts.known(person, limit=_MOST)))
    if not known:
        return say("memory_empty", language)
    await facts.show(person, [fact.id for fact in known])
    return f"{_numbered(known)}\n\n{say('forget_how', language)}"


def is_goodbye(what: str, language: str | None = None) -> bool:
    """Tell whether the words after ``/forget`` are the wish, confirmed, to be forgotten altogether."""
    me, _, sure = what.strip().partition(" ")
    return _is(me, words("word_me", language)) and bool(sure.strip()) and _is(sure, words_of_all("word_yes"))


def _is_me(what: str, language: str | None) -> bool:
    """Tell whether somebody wants to be forgotten: the word alone, or with one that is no confirmation."""
    said = what.split()
    return len(said) <= 2 and _is(said[0], words("word_me", language))


def _is(said: str, meant: Sequence[str]) -> bool:
    """Tell whether somebody wrote one of some words, in whatever case, with its accents and a full stop or not."""
    return fold(said).strip(_ENDS) in {fold(word) for word in meant}


def _chosen(what: str, shown: Sequence[str]) -> list[str]:
    """Return the ids of the lines that are meant; none where a number is of no line, and so a word like others."""
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
    """Return a fact in Markdown; the key of a note is its own beginning, which need not be said twice."""
    is_note = fact.key.startswith(NOTE) and tidy(NewFact(NOTE + fact.value, "")).key.startswith(fact.key)
    return f"**{NOTE.strip() if is_note else fact.key}**: {fact.value}"


def _gone(facts: Sequence[Fact], language: str | None) -> str:
    if not facts:
        return say("forget_gone", language)
    lines = [told(fact) for fact in facts]
    listed = "\n\n" + "\n".join(f"- {line}" for line in lines)
    return say("forgotten", language, facts=lines[0] if len(lines) == 1 else listed)
