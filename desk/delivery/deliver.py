"""Bring an answer to its person: each part once, in order, again and again where the platform fails."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Protocol

from qwendesk.desk.delivery.outbox import Claim, Outbox, key_of
from qwendesk.desk.inbox.database_retry import Patience
from qwendesk.desk.inbox.records import Arrived, Outcome
from qwendesk.desk.inbox.repository import Inbox
from qwendesk.errors import ChannelError
from qwendesk.messages import Button, Event, Inbound, Outbound
from qwendesk.redaction import redact


class Abilities(Protocol):
    """What a platform can do, as far as delivery asks."""

    @property
    def edits(self) -> bool:
        """Whether a message that was sent can be changed."""

    @property
    def edit_interval(self) -> float:
        """Least number of seconds between two edits in one conversation."""

    @property
    def typing(self) -> float | None:
        """Seconds that a typing sign lasts; None: the platform has none."""

    @property
    def buttons(self) -> int:
        """How many buttons a message may have."""


class Piece(Protocol):
    """One message's text, in the platform's markup and without it."""

    @property
    def text(self) -> str:
        """The text in the platform's markup."""

    @property
    def plain(self) -> str:
        """The same without markup."""


class Outlet(Protocol):
    """One channel, as delivery sees it."""

    @property
    def capabilities(self) -> Abilities:
        """What the platform can do."""

    async def shape(self, text: str) -> Sequence[Piece]:
        """Cut a text into messages of the platform's length and markup."""

    async def send(self, message: Outbound) -> str | None:
        """Deliver a message and return the platform's name for it."""

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent."""

    async def typing(self, conversation: str) -> None:
        """Show for a moment that an answer is being written."""


RunTurn = Callable[[Inbound], AsyncGenerator[Event, None]]

"""Answers a message; yields what happens, last ``Finished``. Closing it stops the answer."""


Closing = tuple[Outcome, str | None]

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


@dataclass(frozen=True, slots=True)
class _Sending:
    """One part of an answer, on its way."""

    arrived: Arrived
    outlet: Outlet
    part: int
    piece: Piece
    buttons: tuple[Button, ...]


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
        self.patience = Patience()

    async def deliver(
        self, arrived: Arrived, outlet: Outlet, text: str, closing: Closing, buttons: tuple[Button, ...] = ()
    ) -> None:
        """Send what of the answer has not been sent, and close the message with the last part; it has the buttons."""
        pieces = await outlet.shape(text)
        closed = False
        for part, piece in enumerate(pieces):
            is_last = part == len(pieces) - 1
            sending = _Sending(arrived, outlet, part, piece, buttons if is_last else ())
            try:
                sent = await self._insist(sending)
            except _GivenUp as error:
                channel = arrived.inbound.channel
                log.warning("An answer on %s is given up ('qwendesk messages failed'): %s", channel, error.told)
                await self.patience.through(partial(self._give_up, sending, closing[0], str(error)))
                return
            if sent is None:  # sent before a crash, or in the hands of another run
                continue
            closed = is_last
            # what was sent is not sent again because the database is away
            ending = closing if closed else None
            await self.patience.through(partial(self._outbox.sent, arrived, sent.key, sent.message_id, ending))
        if not closed:
            await self.patience.through(partial(self._inbox.close, arrived.id, arrived.run, *closing))

    async def show(self, arrived: Arrived, outlet: Outlet, piece: Piece) -> bool:
        """Send or change the beginning of an answer that is still being written; False where that is of no use."""
        claim = await self._outbox.claim(arrived, 0, piece.text, piece.plain)
        if claim is None:
            return False
        message = message_for(arrived, claim.key, piece, 0)
        if claim.message_id:
            await outlet.edit(claim.message_id, message)
            return True
        message_id = await outlet.send(message)
        if message_id:
            await self.patience.through(partial(self._outbox.posted, arrived, claim.key, message_id))
        return message_id is not None

    async def mark(self, arrived: Arrived, outlet: Outlet, sequence: int, buttons: tuple[Button, ...]) -> bool:
        """Change the buttons under an answer that was delivered; False where that cannot be done."""
        if not (outlet.capabilities.edits and outlet.capabilities.buttons >= len(buttons)):
            return False
        ending = await self._outbox.ending_of(arrived.conversation_id, sequence)
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

    async def _insist(self, sending: _Sending) -> Claim | None:
        """Send until it is sent; None where it was sent before, or another run has come to have the message."""
        since = monotonic()
        pause = self._pace.first
        while claim := await self.patience.through(partial(self._claim, sending)):
            try:
                return replace(claim, message_id=await _put(sending, claim))
            except ChannelError as error:
                if error.permanent:
                    raise _GivenUp(str(error), str(error)) from error
                wait = max(pause, error.retry_after or 0.0)
                reason = told = str(error)
            except Exception as error:  # an adapter's mistake must not end the conversation
                told = type(error).__name__
                wait, reason = pause, redact(f"{told}: {error}")
            if monotonic() - since + wait > self._pace.give_up:
                raise _GivenUp(reason, told)
            if pause == self._pace.first:
                channel = sending.arrived.inbound.channel
                log.warning("An answer on %s cannot be delivered now, and is tried again: %s", channel, told)
            await self.patience.rest(sending.arrived.id, wait)
            pause = min(self._pace.longest, pause * 2)
        return None

    async def _claim(self, sending: _Sending) -> Claim | None:
        piece = sending.piece
        return await self._outbox.claim(sending.arrived, sending.part, piece.text, piece.plain)

    async def _give_up(self, sending: _Sending, outcome: Outcome, why: str) -> None:
        arrived = sending.arrived
        closing: Closing = ("gone" if outcome == "gone" else "dead", f"not delivered: {why}")
        await self._outbox.failed(arrived, key_of(arrived, sending.part), why, closing)


async def _put(sending: _Sending, claim: Claim) -> str | None:
    """Send a message, or complete the one that was posted already."""
    outlet = sending.outlet
    message = message_for(sending.arrived, claim.key, sending.piece, sending.part, sending.buttons)
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
