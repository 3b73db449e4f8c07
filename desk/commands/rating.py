"""What people think of answers: two thumbs under each one, or a command, and the second try that a bad one gets."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from qwendesk.desk.commands.chat_commands import Call, Commands, Done, parse
from qwendesk.desk.delivery.outbox import Outbox
from qwendesk.desk.inbox.rows import conversation_key
from qwendesk.desk.translations import say
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import AskedQuestion, Rating, Thumb
from qwendesk.messages import Button, Inbound

UP, DOWN = "👍", "👎"
PRESS = "rate"
"""What a pressed thumb says, before ``:1`` or ``:-1`` and the answer that is meant."""
_PRESSED = re.compile(r"(?P<thumb>1|-1)(?::(?P<of>\S{1,255}))?")
_PLACE = re.compile(r"[0-9]{1,9}")
_LONGEST = 2000
"""Characters of a comment that are kept."""


def thumbs(sequence: int, given: Thumb | None = None) -> tuple[Button, Button]:
    """Return the buttons under the answer at a place of its conversation."""
    return Button(UP, f"{PRESS}:1:{sequence}", given == 1), Button(DOWN, f"{PRESS}:-1:{sequence}", given == -1)


def is_press(text: str) -> bool:
    """Tell whether a message is a thumb that was pressed."""
    command = parse(text)
    return command is not None and command.name == PRESS


@dataclass(frozen=True, slots=True)
class Ratings:
    """Takes what people think of answers, and asks again where an answer was no good."""

    memory: Memory
    outbox: Outbox

    def join(self, commands: Commands) -> None:
        """Take the commands, and the thumbs that are pressed."""
        for name, run in (("retry", self._retry), ("good", self._good), ("bad", self._bad)):
            commands.add(name, run, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]
        commands.add_hidden(PRESS, self._pressed)

    async def _good(self, call: Call) -> Done | str:
        return await self._command(call, 1)

    async def _bad(self, call: Call) -> Done | str:
        return await self._command(call, -1)

    async def _command(self, call: Call, thumb: Thumb) -> Done | str:
        asked = await self._asked(call)
        if asked is None:
            return say("no_answer_yet", call.language)
        done = await self._rate(call, asked, thumb, call.command.argument[:_LONGEST])
        return replace(done, text=say("rated_up", call.language)) if thumb == 1 else done

    async def _retry(self, call: Call) -> Done | str:
        asked = await self._asked(call)
        return Done(ask=_again(call, asked)) if asked else say("no_answer_yet", call.language)

    async def _pressed(self, call: Call) -> Done | str | None:
        found = _PRESSED.fullmatch(call.command.argument)
        if found is None:
            return None
        asked = await self._meant(call, found["of"])
        if asked is None:
            return Done() if found["of"] else say("no_answer_yet", call.language)
        if not asked.mine:
            return Done()  # a group need not be told who pressed what
        thumb: Thumb = 1 if found["thumb"] == "1" else -1
        done = await self._rate(call, asked, thumb)
        # who reacted to a message sees the reaction
        return done if found["of"] is None or _PLACE.fullmatch(found["of"]) else replace(done, unseen="")

    async def _rate(self, call: Call, asked: AskedQuestion, thumb: Thumb, comment: str = "") -> Done:
        key, channel = _key(call), call.arrived.inbound.channel
        await self.memory.feedback.rate(key, Rating(thumb, comment=comment or None), channel=channel, turn=asked.turn)
        marks = (asked.sequence, thumbs(asked.sequence, thumb))
        if thumb == 1:
            return Done(unseen=say("rated_up", call.language), marks=marks)
        if asked.newest and not asked.again:
            return Done(ask=_again(call, asked), marks=marks)
        return Done(say("rated_down", call.language), marks=marks)

    async def _meant(self, call: Call, of: str | None) -> AskedQuestion | None:
        """Return the turn that a thumb stands under: named by its place, or by the platform's name of the message."""
        if of is None:
            return await self._asked(call)
        place = int(of) if _PLACE.fullmatch(of) else await self.outbox.place_of(call.arrived.conversation_id, of)
        return await self._asked(call, place) if place is not None else None

    async def _asked(self, call: Call, at: int | None = None) -> AskedQuestion | None:
        inbound = call.arrived.inbound
        before = inbound.sequence or 0
        return await self.memory.feedback.asked(
            _key(call), inbound.person, before=before, at=at, channel=inbound.channel
        )


def _key(call: Call) -> str:
    inbound = call.arrived.inbound
    return conversation_key(inbound.account, inbound.conversation)


def _again(call: Call, asked: AskedQuestion) -> Inbound:
    """Return the question once more, for whoever is next up the chain."""
    return replace(
        call.arrived.inbound, text=asked.text, attachments=asked.attachments, retry=True, unsupported_media=None
    )
