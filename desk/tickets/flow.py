"""What a worker does with tickets: put a message into one, hand it over, and keep silent while a person answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from qwendesk.desk.handover.reasons import Reason
from qwendesk.desk.handover.texts import handover_text, waiting_text
from qwendesk.desk.inbox.repository import ClaimedMessage
from qwendesk.desk.tickets.placement import Placement
from qwendesk.desk.tickets.records import BOT, CUSTOMER, Opens, TicketRecord
from qwendesk.desk.tickets.service import HANDED_OVER_BY, Tickets
from qwendesk.desk.tickets.withdrawal import StopCause
from qwendesk.desk.translations import language_of
from qwendesk.messages import Reply


@dataclass(frozen=True, slots=True)
class HandoverDecision:
    """That a ticket is handed over, and why."""

    reason: Reason
    keeps_answer: bool = False
    """Whether the customer gets the bot's answer, too."""


class HandoverRules(Protocol):
    """When the bot hands a ticket over."""

    async def before_turn(self, claimed: ClaimedMessage, ticket: TicketRecord) -> HandoverDecision | None:
        """Decide by a customer's message."""

    async def after_turn(self, claimed: ClaimedMessage, ticket: TicketRecord, reply: Reply) -> HandoverDecision | None:
        """Decide by the bot's answer, and count what further decisions need."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What the customer is told of a handover."""

    text: str
    keeps_answer: bool = False
    """Whether the customer gets the bot's answer before it."""


class TicketFlow:
    """The tickets of a worker's messages.

    Args:
        tickets: changes tickets.
        rules: when the bot hands a ticket over; None: only if the customer gives the command.
        opens: the opening hours; None: there are none.
    """

    def __init__(self, tickets: Tickets, rules: HandoverRules | None = None, opens: Opens | None = None) -> None:
        self.tickets = tickets
        self._rules = rules
        self._opens = opens or (lambda team, now: None)

    async def are_kept(self) -> bool:
        """Return whether messages are put into tickets."""
        return await self.tickets.are_kept()

    async def place(self, claimed: ClaimedMessage) -> Placement | None:
        """Put a message into its ticket, with the address that the customer left; None if it has a newer run."""
        placement = await self.tickets.place(claimed)
        address = claimed.inbound.reply_address
        if placement and address and not address.as_dict().items() <= placement.ticket.fields.items():
            ticket = await self.tickets.update(placement.ticket.id, CUSTOMER, fields=address.as_dict())
            return replace(placement, ticket=ticket)
        return placement

    def repeated(self, claimed: ClaimedMessage, placement: Placement) -> HandedOver | None:
        """Return what the customer is told if an earlier run of the message has handed its ticket over."""
        ticket = placement.ticket
        if not placement.is_repeated or ticket.bot_answers or not is_handed_over_by(claimed, ticket):
            return None
        handed = ticket.signals[HANDED_OVER_BY]
        return HandedOver(self._text(claimed, ticket, handed["reason"]), handed["keeps_answer"])

    async def before_turn(self, claimed: ClaimedMessage, ticket: TicketRecord) -> HandedOver | None:
        """Hand the ticket over if the customer's message is a reason to; None: the bot answers."""
        if claimed.inbound.reply_address:  # who leaves an address wants the answer of a person
            return await self._hand_over(claimed, ticket, HandoverDecision("asked"))
        decided = await self._rules.before_turn(claimed, ticket) if self._rules else None
        return await self._hand_over(claimed, ticket, decided) if decided else None

    async def after_turn(self, claimed: ClaimedMessage, ticket: TicketRecord, reply: Reply) -> HandedOver | None:
        """Hand the ticket over if the bot's answer is a reason to; None: it is not."""
        decided = await self._rules.after_turn(claimed, ticket, reply) if self._rules else None
        return await self._hand_over(claimed, ticket, decided) if decided else None

    async def on_command(self, claimed: ClaimedMessage, placement: Placement) -> HandedOver | None:
        """Hand a ticket over as its customer commands; None if a person answers already."""
        ticket = placement.ticket
        if ticket.state == "human":
            return None
        if not ticket.bot_answers:
            language = language_of(claimed.inbound, claimed.settings)
            return HandedOver(waiting_text(language, opens=self._opens(ticket.team, datetime.now(UTC))))
        return await self._hand_over(claimed, ticket, HandoverDecision("asked"))

    async def stopped(self, claimed: ClaimedMessage) -> StopCause:
        """Return why the turn of a message was stopped."""
        return await self.tickets.stopped(claimed)

    async def _hand_over(
        self, claimed: ClaimedMessage, ticket: TicketRecord, decided: HandoverDecision
    ) -> HandedOver | None:
        actor = CUSTOMER if decided.reason == "asked" else BOT
        ticket = await self.tickets.hand_over(
            ticket.id, actor, decided.reason, by_message=claimed, keeps_answer=decided.keeps_answer
        )
        if not is_handed_over_by(claimed, ticket):
            return None  # somebody was faster, and tells the customer
        return HandedOver(self._text(claimed, ticket, decided.reason), decided.keeps_answer)

    def _text(self, claimed: ClaimedMessage, ticket: TicketRecord, reason: Reason) -> str:
        is_there = ticket.operator_id is not None
        opens = None if is_there else self._opens(ticket.team, datetime.now(UTC))
        language = language_of(claimed.inbound, claimed.settings) or ticket.language
        return handover_text(language, reason, is_somebody_there=is_there, opens=opens, number=ticket.number)


def is_handed_over_by(claimed: ClaimedMessage, ticket: TicketRecord) -> bool:
    """Return whether the turn of a message has handed a ticket over."""
    return bool((ticket.signals.get(HANDED_OVER_BY) or {}).get("message") == claimed.id)
