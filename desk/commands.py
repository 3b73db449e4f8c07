"""The chat commands about memory and answers, the same on every channel."""

from __future__ import annotations

from dataclasses import dataclass

from qwendesk.errors import StoreError
from qwendesk.memory.base import Memory
from qwendesk.memory.facts.base import NewFact
from qwendesk.memory.feedback.base import Rating, Thumb
from qwendesk.memory.people.base import Linked

HELP = {
    "/memory [on|off]": "what I know about you; `off`: learn and use nothing",
    "/remember TEXT": "keep a note about you, such as `name: Ada`",
    "/forget WHAT": "forget the facts about you that mention it",
    "/forget me": "remove you and everything you wrote, for good",
    "/good [WHY]": "the last answer was good; the desk learns from it",
    "/bad [WHY]": "the last answer was not",
    "/link [CODE]": "be one person on two channels: get a code here, enter it on both",
}
"""Each command and what it does."""

_LINKED: dict[Linked, str] = {
    "joined": "Done: you are one person on both channels now.",
    "half": "Good. Now enter the same code on the channel where you got it.",
    "waiting": "Good. Now enter the same code on the other channel.",
    "same": "You are one person on both channels already.",
    "unknown": "There is no such code, or no more. /link makes a new one.",
}
_MOST = 50


@dataclass(frozen=True, slots=True)
class Commands:
    """Answers the commands of people."""

    memory: Memory

    async def run(self, line: str, *, person: str, channel: str, conversation: str) -> str | None:
        """Return the answer to a line such as ``/memory``, in Markdown; None where it is no command of these.

        Args:
            line: what was written.
            person: who wrote it, by the channel's own name.
            channel: where.
            conversation: the conversation's key in the memory.
        """
        name, _, argument = line.strip().removeprefix("/").partition(" ")
        argument = " ".join(argument.split())
        match name.lower():
            case "memory":
                return await self._memory(argument.lower(), person, channel)
            case "remember":
                return await self._remember(argument, person, channel)
            case "forget":
                return await self._forget(argument, person, channel)
            case "good" | "bad":
                return await self._rate(1 if name.lower() == "good" else -1, argument, conversation, channel)
            case "link":
                return await self._link(argument, person, channel)
        return None

    async def _memory(self, wish: str, name: str, channel: str) -> str:
        person = await self.memory.people.meet(name, channel=channel)
        if wish in ("on", "off"):
            await self.memory.people.set_remembers(person.id, wish == "on")
            return "I will note facts about you." if wish == "on" else "I will neither note nor use facts about you."
        facts = await self.memory.facts.known(person.id, limit=_MOST)
        lines = [f"- **{fact.key}**: {fact.value} ({fact.valid_from:%Y-%m-%d})" for fact in reversed(facts)]
        off = "" if person.remembers else "\n\nThis is switched off: `/memory on`."
        return ("\n".join(lines) or "I know nothing about you.") + off

    async def _remember(self, text: str, name: str, channel: str) -> str:
        if not text:
            return "Write what to keep: `/remember name: Ada`."
        key, colon, value = text.partition(":")
        fact = NewFact(key, value) if colon and value.strip() else NewFact(f"note {text[:40]}", text)
        person = await self.memory.people.meet(name, channel=channel)
        learned = await self.memory.facts.learn(person.id, [fact])
        if learned.refused:
            return f"I do not keep that: {learned.refused[0][1]}."
        return f"Noted: **{learned.kept[0].key}**: {learned.kept[0].value}"

    async def _forget(self, what: str, name: str, channel: str) -> str:
        if not what:
            return "Write what to forget: `/forget Berlin`, or `/forget me` for everything."
        person = await self.memory.people.find(name, channel=channel)
        if person is None:
            return "I know nothing about you."
        if what.lower() == "me":
            counts = (await self.memory.people.forget(person.id)).counts
            return f"You are forgotten: {counts['message']} messages and {counts['fact']} facts are gone for good."
        gone = await self.memory.facts.forget(person.id, what)
        return f"Forgotten: {gone} facts." if gone else f"I know no fact about you that mentions {what!r}."

    async def _rate(self, thumb: Thumb, why: str, conversation: str, channel: str) -> str:
        try:
            await self.memory.rate(conversation, Rating(thumb, comment=why or None), channel=channel)
        except StoreError as error:
            if error.__cause__ is not None:  # the database failed
                raise
            return "There is no answer here yet."
        return "Noted, thank you." if thumb == 1 else "Noted. Ask again in other words, or name another `/model`."

    async def _link(self, code: str, name: str, channel: str) -> str:
        if code:
            return _LINKED[await self.memory.people.enter_code(code, name, channel=channel)]
        made = await self.memory.people.new_code(name, channel=channel)
        return (
            f"Your code is **{made.code}**, good for ten minutes. Write `/link {made.code}` on the other channel, and "
            "then here as well. Give it to nobody: who enters it becomes you."
        )
