"""Chat commands about memory and answers: ``/memory``, ``/remember``, ``/forget``, ``/good``, ``/bad``, ``/link``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from qwendesk.desk.commands.chat_commands import ChatCommands, CommandCall, CommandResult
from qwendesk.desk.commands.rating import rate_answer
from qwendesk.desk.inbox.repository import conversation_key
from qwendesk.desk.translations import language_name, say, words, words_of_all
from qwendesk.desk.turns.language_wishes import FACT, LanguageWishes
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.fact_rules import tidy
from qwendesk.memory.people.facts import Facts
from qwendesk.memory.records import EMPTY, HEALTH, UNWANTED, Fact, NewFact, Rating
from qwendesk.search_terms import fold

_MEMORY_NAMES = ("memory", "remember", "forget", "link")
NAMES = (*_MEMORY_NAMES, "good", "bad")
"""The commands; ``help_NAME`` is the line of each in the help."""
_REFUSALS = {EMPTY: "remember_what", HEALTH: "not_kept_health", UNWANTED: "memory_is_off"}
_NUMBERS = re.compile(r"\d{1,4}\.?(?:(?:,\s*|\s+)\d{1,4}\.?)*")
_SENTENCE_ENDS = " .!।。！"
NOTE_PREFIX = "note "
"""Prefix of a note's key where the person gave none."""
_MAX_FACTS = 200
_MAX_ECHO_CHARS = 60
"""Characters of the request that are repeated in the answer."""


@dataclass(frozen=True, slots=True)
class MemoryCommands:
    """Runs commands about memory and answers."""

    memory: Memory

    def register(self, commands: ChatCommands) -> None:
        """Add the commands about memory; ``RatingCommands`` adds those about answers."""
        for name in _MEMORY_NAMES:
            commands.add(name, self._run_call, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]

    async def run(
        self,
        line: str,
        *,
        person: str,
        channel: str,
        conversation: str,
        language: str | None = None,
        event: str | None = None,
    ) -> str | None:
        """Return the answer to a line such as ``/memory``, in Markdown; None if it is another command.

        Args:
            line: the text of the command.
            person: the person's id on the channel.
            channel: the channel.
            conversation: the conversation's key in the memory.
            language: the person's language.
            event: the id of the accepted message, which has to outlive a deleted person until it is answered.
        """
        name, _, argument = line.strip().removeprefix("/").partition(" ")
        argument = " ".join(argument.split())
        requester = Requester(person, channel, language, event)
        match name.lower():
            case "memory":
                listed = await self._memory(argument.lower(), requester)
                wished = await self.memory.history.answer_language(conversation, channel=channel)
                shown = wished and say("why_language", language, name=language_name(wished, language))
                return f"{listed}\n\n{shown}" if shown else listed
            case "remember":
                return await self._remember(argument, requester)
            case "forget":
                return await self._forget(argument, requester, conversation)
            case "good" | "bad":
                rating = Rating(1 if name.lower() == "good" else -1, comment=argument)
                return await rate_answer(self.memory, conversation, rating, channel=channel, language=language)
            case "link":
                return await self._link(argument, requester)
        return None

    async def _run_call(self, call: CommandCall) -> CommandResult:
        line, inbound = f"{call.command.name} {call.command.argument}", call.claimed.inbound
        if call.command.name == "link" and inbound.group:
            # another reader of the code could link their account to the person
            return CommandResult(say("link_private", call.language))
        answer = await self.run(
            line,
            person=inbound.person,
            channel=inbound.channel,
            conversation=conversation_key(inbound.account, inbound.conversation),
            language=call.language,
            event=call.claimed.id,
        )
        # the request is deleted with the person
        gone = call.command.name == "forget" and is_deletion_request(call.command.argument, call.language)
        return CommandResult(answer or "", outcome="gone" if gone else "done")

    async def _memory(self, mode: str, requester: Requester) -> str:
        person = await self.memory.people.get_or_create(requester.name, channel=requester.channel)
        if mode in ("on", "off"):
            await self.memory.people.set_remembers(person.id, mode == "on")
            return say(f"memory_{mode}", requester.language)
        listed = await shown_list(self.memory.facts, person.id, requester.language)
        return listed if person.remembers else f"{listed}\n\n{say('memory_is_off', requester.language)}"

    async def _remember(self, text: str, requester: Requester) -> str:
        if not text:
            return say("remember_what", requester.language)
        key, colon, value = text.partition(":")
        fact = NewFact(key, value) if colon and value.strip() else NewFact(NOTE_PREFIX + text[:40], text)
        person = await self.memory.people.get_or_create(requester.name, channel=requester.channel)
        learned = await self.memory.facts.learn(person.id, [fact])
        if learned.refused:
            return say(_REFUSALS.get(learned.refused[0][1], "not_kept_secret"), requester.language)
        return say("remembered", requester.language, fact=format_fact(learned.kept[0]))

    async def _forget(self, what: str, requester: Requester, conversation: str) -> str:
        """Forget facts, and the language wished for a conversation where it is meant."""
        language = requester.language
        everything = _is(what, words("word_all", language))
        ended = await LanguageWishes(self.memory).end_matching(
            what, conversation, requester.channel, everything=everything
        )
        answer = await ForgetCommand(self.memory).run(what, requester)
        if not ended:
            return answer
        told = say("forgotten", language, facts=f"**{FACT}**: {ended}")
        nothing_else = (say("memory_empty", language), say("forget_none", language, what=what[:_MAX_ECHO_CHARS]))
        return told if answer in nothing_else else f"{told}\n\n{answer}"

    async def _link(self, code: str, requester: Requester) -> str:
        if code:
            done = await self.memory.people.enter_code(code, requester.name, channel=requester.channel)
            return say(f"linked_{done}", requester.language)
        made = await self.memory.people.new_code(requester.name, channel=requester.channel)
        return say("link_code", requester.language, code=made.code)


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
        person = await self.memory.people.get_or_create(requester.name, channel=requester.channel)
        if _is(what, words("word_all", requester.language)) or _NUMBERS.fullmatch(what):
            shown = await self.memory.facts.shown(person.id)
            if not shown:
                return await shown_list(self.memory.facts, person.id, requester.language)
            if chosen := _chosen(what, shown):
                gone = await self.memory.facts.delete(person.id, chosen)
                is_all = not _NUMBERS.fullmatch(what)
                if not gone and (is_all or not await self.memory.facts.known(person.id, limit=1)):
                    # what is known now was not on the last list
                    return await shown_list(self.memory.facts, person.id, requester.language)
                return _gone(gone, requester.language)
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
        person = await self.memory.people.get_or_create(requester.name, channel=requester.channel)
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
    return f"{format_fact(fact)} ({fact.valid_from:%Y-%m-%d}{until})"


def format_fact(fact: Fact) -> str:
    """Return a fact in Markdown; the key of a note repeats its beginning and is left out."""
    is_note = fact.key.startswith(NOTE_PREFIX) and tidy(NewFact(NOTE_PREFIX + fact.value, "")).key.startswith(fact.key)
    return f"**{NOTE_PREFIX.strip() if is_note else fact.key}**: {fact.value}"


def _gone(facts: Sequence[Fact], language: str | None) -> str:
    if not facts:
        return say("forget_gone", language)
    lines = [format_fact(fact) for fact in facts]
    listed = "\n\n" + "\n".join(f"- {line}" for line in lines)
    return say("forgotten", language, facts=lines[0] if len(lines) == 1 else listed)
