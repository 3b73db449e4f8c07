"""What a worker does with tickets: put a message into one, hand it over, and keep silent while a person answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import exists, select, update
from sqlalchemy.exc import IntegrityError

from qwendesk.desk.handover.decide import HandoverDecision
from qwendesk.desk.handover.reasons import Reason
from qwendesk.desk.handover.texts import waiting_text
from qwendesk.desk.inbox.repository import ClaimedMessage, complete_event
from qwendesk.desk.tickets.assignment import told_of_handover
from qwendesk.desk.tickets.changes import add_event, lock_conversation, read_ticket
from qwendesk.desk.tickets.placement import Placement, place_message
from qwendesk.desk.tickets.records import BOT, CUSTOMER, DELIVERY, OPEN_STATES, TicketRecord, TicketRules
from qwendesk.desk.tickets.sending import keep_text, told_key
from qwendesk.desk.tickets.service import HANDED_OVER_BY, Tickets
from qwendesk.desk.tickets.withdrawal import StopCause, stop_cause, store_unanswered, withdraw_answer
from qwendesk.desk.translations import language_of, say
from qwendesk.errors import StoreError
from qwendesk.memory.tables.inbox import InboundEvent
from qwendesk.memory.tables.tickets import Ticket, TicketEvent
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work
from qwendesk.messages import Reply


class HandoverRules(Protocol):
    """When the bot hands a ticket over."""

    async def before_turn(self, claimed: ClaimedMessage, ticket: TicketRecord) -> HandoverDecision | None:
        """Decide by a customer's message."""

    async def after_turn(self, claimed: ClaimedMessage, ticket: TicketRecord, reply: Reply) -> HandoverDecision | None:
        """Decide by the bot's answer, and count what further decisions need."""

    def hands_over_at_first_rating(self) -> bool:
        """Return whether one bad rating is a reason to hand over."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What the customer is told of a handover."""

    text: str
    keeps_answer: bool = False
    """Whether the customer gets the bot's answer before it."""


class TicketFlow:
    """The tickets of a worker's messages.

    Args:
        database: the tenant's view of the database.
        tickets: changes tickets.
        placement: how messages are put into tickets.
        handover: when the bot hands a ticket over; None: only if the customer gives the command.
    """

    def __init__(
        self,
        database: TenantDatabase,
        tickets: Tickets,
        placement: TicketRules | None = None,
        handover: HandoverRules | None = None,
    ) -> None:
        self._database = database
        self._tickets = tickets
        self._placement = placement or TicketRules()
        self._handover = handover

    async def are_kept(self) -> bool:
        """Return whether messages are put into tickets."""
        return await self._tickets.are_kept()

    async def takes_retry(self, claimed: ClaimedMessage) -> bool:
        """Return whether a request for another answer belongs into a ticket: an open one, or one that it hands over.

        A rating alone is no matter of its own, so it neither opens a ticket nor opens one again.
        """
        if claimed.ticket_id or (self._handover and self._handover.hands_over_at_first_rating()):
            return True
        silent_since = datetime.now(UTC) - timedelta(hours=self._placement.new_ticket_after_hours)
        here = (Ticket.conversation_id == claimed.conversation_id) & Ticket.state.in_(OPEN_STATES)
        is_idle = (Ticket.state == "bot") & (Ticket.last_message_at < silent_since)
        async with self._database.read() as connection:
            return bool((await connection.execute(select(exists(Ticket.id).where(here, ~is_idle)))).scalar_one())

    @unit_of_work
    async def place(self, claimed: ClaimedMessage, *, is_said: bool = True) -> Placement | None:
        """Put a customer's message into its ticket, once, with the address that the customer left.

        A message that the bot does not answer is stored in the conversation in the same transaction.

        Args:
            claimed: the message.
            is_said: whether it belongs into the conversation; a command or a pressed button does not.

        Returns:
            The ticket; None if the message has a newer run.

        Raises:
            InputError: its writer was forgotten meanwhile.
        """
        try:
            placement = await self._place(claimed, is_said)
        except StoreError as error:
            # The writer was forgotten or merged with another person meanwhile; the second try finds or adds them.
            if not isinstance(error.__cause__, IntegrityError):
                raise
            placement = await self._place(claimed, is_said)
        address = claimed.inbound.reply_address
        if placement and address and not address.as_dict().items() <= placement.ticket.fields.items():
            ticket = await self._tickets.update(placement.ticket.id, CUSTOMER, fields=address.as_dict())
            return replace(placement, ticket=ticket)
        return placement

    async def _place(self, claimed: ClaimedMessage, is_said: bool) -> Placement | None:
        async with self._database.write() as connection:
            placement = await place_message(connection, claimed, self._placement)
            for approval in placement.overtaken if placement else ():
                ticket = await read_ticket(connection, approval.ticket_id)
                text = say("approval_withdrawn", ticket.language or ticket.delivery.locale)
                await self._tickets.tell_within(connection, ticket, text, f"approval_withdrawn:{approval.id}")
            if placement and is_said and not placement.bot_answers:
                await store_unanswered(self._database, connection, claimed)
        return placement

    async def repeated(self, claimed: ClaimedMessage, placement: Placement) -> HandedOver | None:
        """Return what the customer is told if an earlier run of the message has handed its ticket over."""
        ticket = placement.ticket
        if not placement.is_repeated or ticket.bot_answers or not is_handed_over_by(claimed, ticket):
            return None
        handed = ticket.signals[HANDED_OVER_BY]
        text = await self._keep(claimed, self._text(claimed, ticket, handed["reason"]))
        return HandedOver(text, handed["keeps_answer"])

    async def before_turn(self, claimed: ClaimedMessage, ticket: TicketRecord) -> HandedOver | None:
        """Hand the ticket over if the customer's message is a reason to; None: the bot answers."""
        if claimed.inbound.reply_address:  # who leaves an address wants the answer of a person
            return await self._hand_over(claimed, ticket, HandoverDecision("asked"))
        if claimed.generation and await self._is_handed_back(claimed):
            return None  # a person has read it already
        decided = await self._handover.before_turn(claimed, ticket) if self._handover else None
        return await self._hand_over(claimed, ticket, decided) if decided else None

    async def _is_handed_back(self, claimed: ClaimedMessage) -> bool:
        """Return whether the ticket of a message was handed back after the message had come."""
        here = (InboundEvent.id == claimed.id) & (TicketEvent.ticket_id == InboundEvent.ticket_id)
        later = (TicketEvent.kind == "handed_back") & (TicketEvent.at > InboundEvent.received_at)
        async with self._database.read() as connection:
            return bool((await connection.execute(select(exists().where(here, later)))).scalar_one())

    async def after_turn(self, claimed: ClaimedMessage, ticket: TicketRecord, reply: Reply) -> HandedOver | None:
        """Hand the ticket over if the bot's answer is a reason to; None: it is not."""
        decided = await self._handover.after_turn(claimed, ticket, reply) if self._handover else None
        return await self._hand_over(claimed, ticket, decided) if decided else None

    async def on_command(self, claimed: ClaimedMessage, placement: Placement) -> HandedOver | None:
        """Hand a ticket over as its customer commands; None if a person answers already."""
        ticket = placement.ticket
        if ticket.state == "human":
            return None
        if not ticket.bot_answers:
            language = language_of(claimed.inbound, claimed.settings)
            text = waiting_text(language, opens=self._placement.opens(ticket.team, datetime.now(UTC)))
            return HandedOver(await self._keep(claimed, text))
        return await self._hand_over(claimed, ticket, HandoverDecision("asked"))

    async def has_operators(self) -> bool:
        """Return whether there are operators, who can approve a call."""
        return await self._tickets.has_operators()

    async def after_failure(self, claimed: ClaimedMessage, ticket: TicketRecord, text: str) -> bool:
        """Hand the ticket over after a call that failed; False: a person has it already, and tells the customer.

        Args:
            claimed: the message that is answered.
            ticket: its ticket.
            text: what the customer is told.
        """
        handed = await self._tickets.hand_over(ticket.id, BOT, "tool_failed", by_message=claimed, keeps_answer=True)
        if not is_handed_over_by(claimed, handed):
            return False
        await self._keep(claimed, text)
        return True

    async def stopped(self, claimed: ClaimedMessage) -> StopCause:
        """Return why the turn of a message was stopped."""
        async with self._database.read() as connection:
            return await stop_cause(connection, claimed)

    @unit_of_work
    async def withdraw(self, claimed: ClaimedMessage, *, is_said: bool = True) -> bool:
        """Complete a message whose answer is not sent, or not all of it, because a person is to answer.

        The conversation keeps what the customer has got of the answer. False: the ticket was handed back meanwhile, so
        that the bot is to answer.

        Args:
            claimed: the message.
            is_said: whether it belongs into the conversation; a command or a pressed button does not.
        """
        async with self._database.write() as connection:
            await lock_conversation(connection, claimed.conversation_id)
            if await stop_cause(connection, claimed) == "handed back":
                return False
            if await complete_event(connection, claimed.id, claimed.run, "done"):
                await withdraw_answer(connection, claimed, "a person answers")
                if is_said:
                    await store_unanswered(self._database, connection, claimed)
        return True

    @unit_of_work
    async def note_answer(self, claimed: ClaimedMessage) -> None:
        """Store that the bot has answered a message of a ticket.

        The bot is not the last writer if an operator has written meanwhile.
        """
        now = datetime.now(UTC)
        changes = {"sequence": claimed.inbound.sequence}
        async with self._database.write() as connection:
            if ticket_id := await _lock_ticket_of(connection, claimed):
                is_last = (Ticket.id == ticket_id) & (Ticket.last_from != "operator")
                await connection.execute(update(Ticket).where(is_last).values(last_message_at=now, last_from="bot"))
                await add_event(connection, ticket_id, "answered", BOT, changes=changes, at=now)

    @unit_of_work
    async def note_delivery(self, claimed: ClaimedMessage, *, is_sent: bool) -> None:
        """Store that a message to a customer was sent, or could not be; nothing if the customer was forgotten."""
        kind = "delivered" if is_sent else "not_delivered"
        changes = {"sequence": claimed.inbound.sequence}
        async with self._database.write() as connection:
            if ticket_id := await _lock_ticket_of(connection, claimed):
                await add_event(connection, ticket_id, kind, DELIVERY, changes=changes)

    async def _hand_over(
        self, claimed: ClaimedMessage, ticket: TicketRecord, decided: HandoverDecision
    ) -> HandedOver | None:
        actor = CUSTOMER if decided.reason == "asked" else BOT
        ticket = await self._tickets.hand_over(
            ticket.id, actor, decided.reason, by_message=claimed, keeps_answer=decided.keeps_answer
        )
        if not is_handed_over_by(claimed, ticket):
            return None  # somebody was faster, and tells the customer
        text = await self._keep(claimed, self._text(claimed, ticket, decided.reason))
        return HandedOver(text, decided.keeps_answer)

    @unit_of_work
    async def _keep(self, claimed: ClaimedMessage, text: str) -> str:
        """Store what the customer is told, for operators to read, and return it."""
        async with self._database.write() as connection:
            if ticket_id := await _lock_ticket_of(connection, claimed):
                key, sequence = told_key(claimed.id), claimed.inbound.sequence or 0
                await keep_text(connection, self._database.dialect, ticket_id, key, sequence, text)
        return text

    def _text(self, claimed: ClaimedMessage, ticket: TicketRecord, reason: Reason) -> str:
        language = language_of(claimed.inbound, claimed.settings) or ticket.language
        return told_of_handover(ticket, self._placement, language, reason)


def is_handed_over_by(claimed: ClaimedMessage, ticket: TicketRecord) -> bool:
    """Return whether the turn of a message has handed a ticket over."""
    return bool((ticket.signals.get(HANDED_OVER_BY) or {}).get("message") == claimed.id)


async def _lock_ticket_of(connection: TenantConnection, claimed: ClaimedMessage) -> str | None:
    """Lock the ticket of a message and return its id; None if there is none, or it was deleted meanwhile."""
    placed = select(InboundEvent.ticket_id).where(InboundEvent.id == claimed.id).scalar_subquery()
    statement = select(Ticket.id).where(Ticket.id == placed).with_for_update(key_share=True)
    found: str | None = (await connection.execute(statement)).scalar_one_or_none()
    return found
