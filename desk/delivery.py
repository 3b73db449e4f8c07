"""Bring an answer to its person: each part once, in order, again and again where the platform fails."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from time import monotonic

from qwendesk.desk.ports import Outlet, Piece
from qwendesk.errors import ChannelError
from qwendesk.memory.inbox import Arrived, Inbox, Outcome
from qwendesk.memory.outbox import Claim, Outbox
from qwendesk.messages import Button, Outbound

Closing = tuple[Arrived, Outcome, str | None]
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How long a delivery is tried."""

    first: float = 0.5
    """Seconds before the second try; twice as long before each further one."""
    longest: float = 60.0
    """Most seconds between two tries, unless the platform names more."""
    give_up: float = 900.0
    """Seconds after which a delivery is given up."""


class _GivenUp(Exception):
    """A message could not be delivered."""

    def __init__(self, reason: str, told: str) -> None:
        super().__init__(reason)
        self.told = told
        """The reason for the log, in which nothing that was said may stand."""


class Delivery:
    """Sends answers through outlets, and keeps in the outbox how far it has come."""

    def __init__(self, inbox: Inbox, outbox: Outbox, pace: Pace | None = None) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._pace = pace or Pace()

    async def deliver(
        self, arrived: Arrived, outlet: Outlet, text: str, closing: Closing, buttons: tuple[Button, ...] = ()
    ) -> None:
        """Send what of the answer has not been sent, and close the message with the last part; it has the buttons."""
        pieces = await outlet.shape(text)
        closed = False
        for part, piece in enumerate(pieces):
            claim = await self._outbox.claim(arrived, part, piece.text, piece.plain)
            if claim is None:  # sent before a crash, or in the hands of another run
                continue
            try:
                is_last = part == len(pieces) - 1
                message = message_for(arrived, claim.key, piece, part, buttons if is_last else ())
                message_id = await self._insist(outlet, claim, message)
            except _GivenUp as error:
                log.warning("An answer on %s is given up: %s", arrived.inbound.channel, error.told)
                await self._outbox.failed(claim.key, str(error))
                outcome: Outcome = "gone" if closing[1] == "gone" else "dead"
                await self._inbox.close(arrived.id, arrived.run, outcome, f"not delivered: {error}")
                return
            closed = is_last
            await self._outbox.sent(claim.key, message_id, closing if closed else None)
        if not closed:
            await self._inbox.close(arrived.id, arrived.run, *closing[1:])

    async def post(self, arrived: Arrived, outlet: Outlet, piece: Piece) -> str | None:
        """Send the beginning of an answer that is still being written; the platform's name for it is kept."""
        claim = await self._outbox.claim(arrived, 0, piece.text, piece.plain)
        if claim is None or claim.message_id:
            return claim.message_id if claim else None
        message_id = await outlet.send(message_for(arrived, claim.key, piece, 0))
        if message_id:
            await self._outbox.posted(claim.key, message_id)
        return message_id

    async def mark(self, arrived: Arrived, outlet: Outlet, seq: int, buttons: tuple[Button, ...]) -> bool:
        """Change the buttons under an answer that was delivered; False where that cannot be done."""
        if not (outlet.capabilities.edits and outlet.capabilities.buttons >= len(buttons)):
            return False
        ending = await self._outbox.ending_of(arrived.conversation_id, seq)
        if ending is None:
            return False
        inbound = arrived.inbound
        message = Outbound(
            ending.key, inbound.conversation, ending.text, inbound.account, buttons=buttons, plain=ending.plain
        )
        try:
            await outlet.edit(ending.message_id, message)
        except Exception as error:  # what was said counts all the same
            log.info("Buttons could not be changed: %s.", type(error).__name__)
            return False
        return True

    async def _insist(self, outlet: Outlet, claim: Claim, message: Outbound) -> str | None:
        since = monotonic()
        pause = self._pace.first
        while True:
            try:
                return await _put(outlet, claim, message)
            except ChannelError as error:
                if error.permanent:
                    raise _GivenUp(str(error), str(error)) from error
                wait = max(pause, error.retry_after or 0.0)
                reason = told = str(error)
            except Exception as error:  # an adapter's mistake must not end the conversation
                log.warning("Sending failed with %s.", type(error).__name__)
                told = type(error).__name__
                wait, reason = pause, f"{told}: {error}"
            if monotonic() - since + wait > self._pace.give_up:
                raise _GivenUp(reason, told)
            await asyncio.sleep(wait)
            pause = min(self._pace.longest, pause * 2)


async def _put(outlet: Outlet, claim: Claim, message: Outbound) -> str | None:
    """Send a message, or complete the one that was posted already."""
    if claim.message_id and outlet.capabilities.edits:
        try:
            await outlet.edit(claim.message_id, message)
            return claim.message_id
        except ChannelError as error:
            if not error.permanent:
                raise  # else it was deleted, or is too old to be changed: a new one is sent
    return await outlet.send(message)


def message_for(arrived: Arrived, key: str, piece: Piece, part: int, buttons: tuple[Button, ...] = ()) -> Outbound:
    """Return a piece as the message to send."""
    inbound = arrived.inbound
    reply_to = inbound.reply_to if part == 0 else None
    return Outbound(
        key, inbound.conversation, piece.text, inbound.account, reply_to, buttons=buttons, plain=piece.plain
    )
