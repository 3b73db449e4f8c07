"""The chat commands about memory and answers, the same on every channel."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.desk.commands.forget import NOTE, Forgetting, Who, shown_list, told
from qwendesk.desk.translations import say
from qwendesk.errors import StoreError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import EMPTY, HEALTH, UNWANTED, NewFact, Rating, Thumb

NAMES = ("memory", "remember", "forget", "good", "bad", "link")
"""The commands; ``help_NAME`` in the catalogues says what each does."""
_REFUSALS = {EMPTY: "remember_what", HEALTH: "not_kept_health", UNWANTED: "memory_is_off"}


@dataclass(frozen=True, slots=True)
class Commands:
    """Answers the commands of people."""

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
        """Return the answer to a line such as ``/memory``, in Markdown; None where it is no command of these.

        Args:
            line: what was written.
            person: who wrote it, by the channel's own name.
            channel: where.
            conversation: the conversation's key in the memory.
            language: the person's language.
            event: the id of the accepted message that this is, which has to outlive its writer until it is answered.
        """
        name, _, argument = line.strip().removeprefix("/").partition(" ")
        argument = " ".join(argument.split())
        who = Who(person, channel, language, event)
        match name.lower():
            case "memory":
                return await self._memory(argument.lower(), who)
            case "remember":
                return await self._remember(argument, who)
            case "forget":
                return await Forgetting(self.memory).run(argument, who)
            case "good" | "bad":
                return await self._rate(1 if name.lower() == "good" else -1, argument, conversation, who)
            case "link":
                return await self._link(argument, who)
        return None

    async def _memory(self, wish: str, who: Who) -> str:
        person = await self.memory.people.meet(who.name, channel=who.channel)
        if wish in ("on", "off"):
            await self.memory.people.set_remembers(person.id, wish == "on")
            return say(f"memory_{wish}", who.language)
        listed = await shown_list(self.memory.facts, person.id, who.language)
        return listed if person.remembers else f"{listed}\n\n{say('memory_is_off', who.language)}"

    async def _remember(self, text: str, who: Who) -> str:
        if not text:
            return say("remember_what", who.language)
        key, colon, value = text.partition(":")
        fact = NewFact(key, value) if colon and value.strip() else NewFact(NOTE + text[:40], text)
        person = await self.memory.people.meet(who.name, channel=who.channel)
        learned = await self.memory.facts.learn(person.id, [fact])
        if learned.refused:
            return say(_REFUSALS.get(learned.refused[0][1], "not_kept_secret"), who.language)
        return say("remembered", who.language, fact=told(learned.kept[0]))

    async def _rate(self, thumb: Thumb, why: str, conversation: str, who: Who) -> str:
        try:
            await self.memory.feedback.rate(conversation, Rating(thumb, comment=why or None), channel=who.channel)
        except StoreError as error:
            if error.__cause__ is not None:  # the database failed
                raise
            return say("no_answer_yet", who.language)
        return say("rated_up" if thumb == 1 else "rated_down", who.language)

    async def _link(self, code: str, who: Who) -> str:
        if code:
            done = await self.memory.people.enter_code(code, who.name, channel=who.channel)
            return say(f"linked_{done}", who.language)
        made = await self.memory.people.new_code(who.name, channel=who.channel)
        return say("link_code", who.language, code=made.code)
