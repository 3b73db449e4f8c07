"""Ratings of answers by buttons or commands, and the retry after a bad rating."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from qwendesk.desk.commands.chat_commands import ChatCommands, CommandCall, CommandResult, parse
from qwendesk.desk.delivery.outbox import OutboxRepository
from qwendesk.desk.inbox.repository import conversation_key
from qwendesk.desk.translations import say
from qwendesk.errors import StoreError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import AskedQuestion, Rating, Thumb
from qwendesk.messages import Button, Inbound

UP, DOWN = "👍", "👎"
PRESS = "rate"
_PRESSES = (PRESS, "csat")
"""Command that a rating button sends, before ``:1`` or ``:-1`` and the rated answer."""
_PRESSED = re.compile(r"(?P<thumb>1|-1)(?::(?P<of>\S{1,255}))?")
_SEQUENCE = re.compile(r"[0-9]{1,9}")
_MAX_COMMENT_CHARS = 2000
"""Characters of a comment that are stored."""


def rating_buttons(sequence: int, given: Thumb | None = None) -> tuple[Button, Button]:
    """Return the rating buttons of the answer to a message, by the message's number."""
    return Button(UP, f"{PRESS}:1:{sequence}", given == 1), Button(DOWN, f"{PRESS}:-1:{sequence}", given == -1)


def is_rating_press(text: str) -> bool:
    """Return whether a message is a pressed rating button, under an answer or under the question at the end."""
    command = parse(text)
    return command is not None and command.name in _PRESSES


async def rate_answer(
    memory: Memory,
    conversation: str,
    rating: Rating,
    *,
    channel: str,
    language: str | None = None,
    turn: str | None = None,
) -> str:
    """Store a rating and return the confirmation.

    Args:
        memory: stores the rating.
        conversation: the conversation's key in the memory.
        rating: the rating; of its comment only the beginning is stored.
        channel: the conversation's channel.
        language: the person's language.
        turn: the id of the rated turn; None: the conversation's newest closed turn.
    """
    rating = replace(rating, comment=(rating.comment or "")[:_MAX_COMMENT_CHARS] or None)
    try:
        await memory.feedback.rate(conversation, rating, channel=channel, turn=turn)
    except StoreError as error:
        if error.__cause__ is not None:  # the database failed
            raise
        return say("no_answer_yet", language)
    return say("rated_up" if rating.thumb == 1 else "rated_down", language)


@dataclass(frozen=True, slots=True)
class RatingCommands:
    """Stores ratings and retries the newest answer after a bad rating."""

    memory: Memory
    outbox: OutboxRepository

    def register(self, commands: ChatCommands) -> None:
        """Add the commands and the handler of rating buttons."""
        for name, run in (("retry", self._retry), ("good", self._good), ("bad", self._bad)):
            commands.add(name, run, lambda language, name=name: say(f"help_{name}", language))  # type: ignore[misc]
        commands.add_hidden(PRESS, self._pressed)

    async def _good(self, call: CommandCall) -> CommandResult | str:
        return await self._command(call, 1)

    async def _bad(self, call: CommandCall) -> CommandResult | str:
        return await self._command(call, -1)

    async def _command(self, call: CommandCall, thumb: Thumb) -> CommandResult | str:
        asked = await self._asked(call)
        if asked is None:
            return say("no_answer_yet", call.language)
        done = await self._rate(call, asked, thumb, call.command.argument)
        return replace(done, text=done.text_without_buttons) if thumb == 1 else done

    async def _retry(self, call: CommandCall) -> CommandResult | str:
        asked = await self._asked(call)
        return CommandResult(ask=_retry_of(call, asked)) if asked else say("no_answer_yet", call.language)

    async def _pressed(self, call: CommandCall) -> CommandResult | str | None:
        found = _PRESSED.fullmatch(call.command.argument)
        if found is None:
            return None
        asked = await self._rated_turn(call, found["of"])
        if asked is None:
            return CommandResult() if found["of"] else say("no_answer_yet", call.language)
        if not asked.is_own:
            return CommandResult()  # people in a group may press the buttons of others' answers
        thumb: Thumb = 1 if found["thumb"] == "1" else -1
        done = await self._rate(call, asked, thumb)
        # a reaction to a message is visible without new buttons or a confirmation
        return (
            done if found["of"] is None or _SEQUENCE.fullmatch(found["of"]) else replace(done, text_without_buttons="")
        )

    async def _rate(self, call: CommandCall, asked: AskedQuestion, thumb: Thumb, comment: str = "") -> CommandResult:
        confirmation = await rate_answer(
            self.memory,
            _key(call),
            Rating(thumb, comment=comment),
            channel=call.claimed.inbound.channel,
            language=call.language,
            turn=asked.turn,
        )
        buttons = (asked.sequence, rating_buttons(asked.sequence, thumb))
        if thumb == 1:
            return CommandResult(text_without_buttons=confirmation, buttons=buttons)
        if asked.newest and not asked.retried:
            return CommandResult(ask=_retry_of(call, asked), buttons=buttons)
        return CommandResult(confirmation, buttons=buttons)

    async def _rated_turn(self, call: CommandCall, of: str | None) -> AskedQuestion | None:
        """Return the rated turn: by the number of its message, or by the platform id of the answer."""
        if of is None:
            return await self._asked(call)
        sequence = (
            int(of) if _SEQUENCE.fullmatch(of) else await self.outbox.sequence_of(call.claimed.conversation_id, of)
        )
        return await self._asked(call, sequence) if sequence is not None else None

    async def _asked(self, call: CommandCall, at: int | None = None) -> AskedQuestion | None:
        inbound = call.claimed.inbound
        before = inbound.sequence or 0
        return await self.memory.feedback.asked(
            _key(call), inbound.person, before=before, at=at, channel=inbound.channel
        )


def _key(call: CommandCall) -> str:
    inbound = call.claimed.inbound
    return conversation_key(inbound.account, inbound.conversation)


def _retry_of(call: CommandCall, asked: AskedQuestion) -> Inbound:
    """Return the message to be answered again by a stronger model."""
    return replace(
        call.claimed.inbound, text=asked.text, attachments=asked.attachments, retry=True, unsupported_media=None
    )
