"""Chat commands about memory and answers: ``/memory``, ``/remember``, ``/forget``, ``/good``, ``/bad``, ``/link``."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.desk.commands.forget import NOTE_PREFIX, ForgetCommand, Requester, shown_list, told
from qwendesk.desk.translations import say
from qwendesk.errors import StoreError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import EMPTY, HEALTH, UNWANTED, NewFact, Rating, Thumb

NAMES = ("memory", "remember", "forget", "good", "bad", "link")
"""The commands; ``help_NAME`` is the line of each in the help."""
_REFUSALS = {EMPTY: "remember_what", HEALTH: "not_kept_health", UNWANTED: "memory_is_off"}


@dataclass(frozen=True, slots=True)
class MemoryCommands:
    """Runs commands about memory and answers."""

    memory: Memory

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
                return await self._memory(argument.lower(), requester)
            case "remember":
                return await self._remember(argument, requester)
            case "forget":
                return await ForgetCommand(self.memory).run(argument, requester)
            case "good" | "bad":
                return await self._rate(1 if name.lower() == "good" else -1, argument, conversation, requester)
            case "link":
                return await self._link(argument, requester)
        return None

    async def _memory(self, mode: str, requester: Requester) -> str:
        person = await self.memory.people.meet(requester.name, channel=requester.channel)
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
        person = await self.memory.people.meet(requester.name, channel=requester.channel)
        learned = await self.memory.facts.learn(person.id, [fact])
        if learned.refused:
            return say(_REFUSALS.get(learned.refused[0][1], "not_kept_secret"), requester.language)
        return say("remembered", requester.language, fact=told(learned.kept[0]))

    async def _rate(self, thumb: Thumb, why: str, conversation: str, requester: Requester) -> str:
        try:
            await self.memory.feedback.rate(conversation, Rating(thumb, comment=why or None), channel=requester.channel)
        except StoreError as error:
            if error.__cause__ is not None:  # the database failed
                raise
            return say("no_answer_yet", requester.language)
        return say("rated_up" if thumb == 1 else "rated_down", requester.language)

    async def _link(self, code: str, requester: Requester) -> str:
        if code:
            done = await self.memory.people.enter_code(code, requester.name, channel=requester.channel)
            return say(f"linked_{done}", requester.language)
        made = await self.memory.people.new_code(requester.name, channel=requester.channel)
        return say("link_code", requester.language, code=made.code)
