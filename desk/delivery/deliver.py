"""Deliver an answer: each part once and in order, with retries; the port to a channel."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from time import monotonic
from typing import Literal, Protocol

from qwendesk.desk.delivery.outbox import OutboxRepository, SendClaim
from qwendesk.desk.inbox.database_retry import DatabaseRetry
from qwendesk.desk.inbox.repository import ClaimedMessage, InboxRepository, Outcome, key_of
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Author, Button, Event, Inbound, Outbound
from qwendesk.redaction import redact

log = logging.getLogger(__name__)
RunTurn = Callable[[Inbound], AsyncGenerator[Event, None]]
"""Runs a turn: yields its events, the last one ``Finished``; closing the iterator stops the turn."""
Completion = tuple[Outcome, str | None]
"""The outcome that completes a message, and its error."""
Delivered = Literal["completed", "given up", "withheld"]
"""How a delivery ends; ``withheld``: a person is to answer, so the rest is not sent, and the message stays open."""


class DeliveryCapabilities(Protocol):
    """Capabilities of a platform that delivery uses."""

    @property
    def edits(self) -> bool:
        """Whether a sent message can be edited."""

    @property
    def edit_interval(self) -> float:
        """Minimum seconds between two edits in one conversation."""

    @property
    def typing(self) -> float | None:
        """Seconds that a typing indicator lasts; None: the platform has none."""

    @property
    def buttons(self) -> int:
        """Most buttons of a message."""


class RenderedText(Protocol):
    """The text of one platform message, with and without markup."""

    @property
    def text(self) -> str:
        """The text in the platform's markup."""

    @property
    def plain(self) -> str:
        """The text without markup."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that is rendered already."""

    text: str
    plain: str


_NO_TEXT = _Text("", "")
_CUT = " […]"
"""Ends an answer that was shown while it was written and is not completed."""


class Outlet(Protocol):
    """A channel to deliver to; channels implement this port."""

    @property
    def capabilities(self) -> DeliveryCapabilities:
        """Capabilities of the platform."""

    async def split_message(self, text: str, author: Author | None = None) -> Sequence[RenderedText]:
        """Return a text as messages of the platform's length and markup; a platform that shows no author names them."""

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its platform id."""

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text and the buttons of a sent message."""

    async def typing(self, conversation: str, author: Author | None = None) -> None:
        """Show the typing indicator; None: of the bot."""


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """Pauses and time limit of delivery retries."""

    first_pause: float = 0.5
    """Seconds before the second try; doubled before each further one."""
    max_pause: float = 60.0
    """Most seconds between two tries, unless the platform asks for more."""
    give_up_after: float = 900.0
    """Seconds after which a delivery is given up."""


@dataclass(frozen=True, slots=True)
class _PartDelivery:
    """The delivery of one part of an answer."""

    claimed: ClaimedMessage
    outlet: Outlet
    part: int
    piece: RenderedText
    buttons: tuple[Button, ...]
    files: tuple[Attachment, ...]
    by_bot: bool


class _Undeliverable(Exception):
    """A message could not be delivered."""

    def __init__(self, reason: str, log_text: str) -> None:
        super().__init__(reason)
        self.log_text = log_text
        """The reason for the log, without texts of the conversation."""


class Delivery:
    """Sends answers to channels and stores the progress in the outbox."""

    def __init__(self, inbox: InboxRepository, outbox: OutboxRepository, schedule: RetrySchedule | None = None) -> None:
        self._inbox = inbox
        self._outbox = outbox
        self._schedule = schedule or RetrySchedule()
        self.database_retry = DatabaseRetry()

    async def deliver(
        self,
        claimed: ClaimedMessage,
        outlet: Outlet,
        text: str,
        completion: Completion,
        buttons: tuple[Button, ...] = (),
        *,
        files: tuple[Attachment, ...] = (),
        by_bot: bool = False,
    ) -> Delivered:
        """Send the unsent parts of an answer; the last part has buttons and files and completes the message.

        Args:
            claimed: the message that is answered, or is itself for the customer.
            outlet: the channel.
            text: the text.
            completion: how the message is completed.
            buttons: buttons below it.
            files: files that go with it.
            by_bot: the bot speaks, which is silent while a person is to answer.
        """
        pieces = await outlet.split_message(text, claimed.author) or ([_NO_TEXT] if files else [])
        is_completed = False
        for part, piece in enumerate(pieces):
            is_last = part == len(pieces) - 1
            sending = _PartDelivery(
                claimed, outlet, part, piece, buttons if is_last else (), files if is_last else (), by_bot
            )
            try:
                sent = await self._send_with_retries(sending)
            except _Undeliverable as error:
                channel = claimed.inbound.channel
                log.warning("An answer on %s is given up ('qwendesk messages failed'): %s", channel, error.log_text)
                await self.database_retry.run(partial(self._give_up, sending, completion[0], str(error)))
                return "given up"
            if sent is None:  # sent before a crash, claimed by another run, or silenced
                if by_bot and await self.database_retry.run(partial(self._outbox.is_withheld, claimed, part)):
                    return "withheld"
                continue
            is_completed = is_last
            # an outage of the database must not repeat a sent message
            last = completion if is_completed else None
            await self.database_retry.run(partial(self._outbox.mark_sent, claimed, sent.key, sent.message_id, last))
        if not is_completed:
            await self.database_retry.run(partial(self._inbox.complete, claimed.id, claimed.run, *completion))
        return "completed"

    async def end_posted(self, claimed: ClaimedMessage, outlet: Outlet) -> None:
        """End an answer that was posted while it was written and will not be completed, so that no reader waits."""
        posted = await self.database_retry.run(partial(self._outbox.posted, claimed))
        if posted is None:
            return
        piece = _Text(*(f"{shown.rstrip().removesuffix('…')}{_CUT}".strip() for shown in (posted.text, posted.plain)))
        try:
            await outlet.edit(posted.message_id, message_for(claimed, posted.key, piece, 0))
        except Exception as error:  # what was posted stays as it is
            log.info("An interrupted answer could not be ended: %s.", type(error).__name__)

    async def show(self, claimed: ClaimedMessage, outlet: Outlet, piece: RenderedText) -> bool:
        """Send or edit the first part of an answer that is being written; False if the platform cannot show it."""
        claim = await self._outbox.claim(claimed, 0, piece.text, piece.plain, by_bot=True)
        if claim is None:
            return False
        message = replace(message_for(claimed, claim.key, piece, 0), is_complete=False)
        if claim.message_id:
            await outlet.edit(claim.message_id, message)
            return True
        message_id = await outlet.send(message)
        if message_id:
            await self.database_retry.run(partial(self._outbox.mark_posted, claimed, claim.key, message_id))
        return message_id is not None

    async def edit_buttons(
        self, claimed: ClaimedMessage, outlet: Outlet, sequence: int, buttons: tuple[Button, ...]
    ) -> bool:
        """Change the buttons of a delivered answer; False if that is not possible."""
        if not (outlet.capabilities.edits and outlet.capabilities.buttons >= len(buttons)):
            return False
        last = await self._outbox.last_part(claimed.conversation_id, sequence)
        if last is None:
            return False
        inbound = claimed.inbound
        message = Outbound(
            last.key, inbound.conversation, last.text, inbound.account, buttons=buttons, plain=last.plain
        )
        try:
            await outlet.edit(last.message_id, message)
        except Exception as error:  # the rating is stored anyway
            log.info("Buttons could not be changed: %s.", type(error).__name__)
            return False
        return True

    async def _send_with_retries(self, sending: _PartDelivery) -> SendClaim | None:
        """Send a part with retries; None if it was sent before or the message has a newer run.

        Raises:
            _Undeliverable: the platform refuses it, or the time limit is over.
        """
        since = monotonic()
        pause = self._schedule.first_pause
        while claim := await self.database_retry.run(partial(self._claim, sending)):
            try:
                return replace(claim, message_id=await _send_or_edit(sending, claim))
            except ChannelError as error:
                if error.permanent:
                    raise _Undeliverable(str(error), str(error)) from error
                wait = max(pause, error.retry_after or 0.0)
                reason = log_text = str(error)
            except Exception as error:  # a faulty channel must not block the conversation
                log_text = type(error).__name__
                wait, reason = pause, redact(f"{log_text}: {error}")
            if monotonic() - since + wait > self._schedule.give_up_after:
                raise _Undeliverable(reason, log_text)
            if pause == self._schedule.first_pause:
                channel = sending.claimed.inbound.channel
                log.warning("The delivery of an answer on %s failed and is retried: %s", channel, log_text)
            await self.database_retry.pause(sending.claimed.id, wait)
            pause = min(self._schedule.max_pause, pause * 2)
        return None

    async def _claim(self, sending: _PartDelivery) -> SendClaim | None:
        piece = sending.piece
        return await self._outbox.claim(sending.claimed, sending.part, piece.text, piece.plain, by_bot=sending.by_bot)

    async def _give_up(self, sending: _PartDelivery, outcome: Outcome, reason: str) -> None:
        claimed = sending.claimed
        completion: Completion = ("gone" if outcome == "gone" else "dead", f"not delivered: {reason}")
        await self._outbox.mark_failed(claimed, key_of(claimed, sending.part), reason, completion)


async def _send_or_edit(sending: _PartDelivery, claim: SendClaim) -> str | None:
    """Send a message, or complete the one that was posted while the answer was written."""
    outlet = sending.outlet
    message = message_for(sending.claimed, claim.key, sending.piece, sending.part, sending.buttons, sending.files)
    if claim.message_id and outlet.capabilities.edits:
        try:
            await outlet.edit(claim.message_id, message)
            return claim.message_id
        except ChannelError as error:
            if not error.permanent:
                raise  # a permanent failure: it was deleted or is too old to be edited, so a new one is sent
    return await outlet.send(message)


def message_for(
    claimed: ClaimedMessage,
    key: str,
    piece: RenderedText,
    part: int,
    buttons: tuple[Button, ...] = (),
    files: tuple[Attachment, ...] = (),
) -> Outbound:
    """Return a part as the message to send."""
    inbound = claimed.inbound
    reply_to = inbound.reply_to if part == 0 else None
    return Outbound(
        key,
        inbound.conversation,
        piece.text,
        inbound.account,
        reply_to,
        files,
        buttons,
        piece.plain,
        author=claimed.author,
    )
