"""Put each accepted message of a customer into a ticket: the one it belongs to, a reopened one, or a new one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import Select, case, func, insert, or_, select, update
from uuid_utils import uuid7

from qwendesk.desk.inbox.repository import ClaimedMessage, conversation_key, is_newest_run
from qwendesk.desk.interpreter.scripts import is_in_script_of
from qwendesk.desk.tickets.approval_records import ApprovalRecord, drop_of_conversation
from qwendesk.desk.tickets.changes import add_event, change_ticket, read_ticket, select_tickets
from qwendesk.desk.tickets.records import (
    CUSTOMER,
    OPEN_STATES,
    Actor,
    DeliveryAddress,
    TicketRecord,
    TicketRules,
    is_set_aside,
    ticket_record,
)
from qwendesk.desk.translations import DETECTED_LANGUAGE, detected_language, has_letters
from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.conversations.turns import title
from qwendesk.memory.tables.conversations import Conversation, PersonIdentity, Tenant
from qwendesk.memory.tables.inbox import InboundEvent, OutboundMessage
from qwendesk.memory.tables.tickets import Ticket
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.messages import Inbound
from qwendesk.routing.signals.language import base_language

CHOSEN_TICKET = "ticket"
"""Conversation setting: number of the ticket that the customer chose for the next messages; 0: a new one."""
_PERSON_CHARS = 16
LANGUAGE_IS_SET = "language_is_set"
"""Signal: an operator has set the customer's language."""
IDLE = Actor.rule("idle")
_MIN_CERTAIN_LATIN_LETTERS, _MIN_CERTAIN_OTHER_LETTERS = 24, 8
"""Letters of a text from which its language is certain; other scripts than the Latin need fewer."""


def choice_of(inbound: Inbound) -> str:
    """Return the conversation setting with the ticket that a message's writer chose; in a group, each has their own."""
    if not inbound.group:
        return CHOSEN_TICKET
    return f"{CHOSEN_TICKET}:{sha256(inbound.person.encode()).hexdigest()[:_PERSON_CHARS]}"


@dataclass(frozen=True, slots=True)
class Placement:
    """The ticket of a message."""

    ticket: TicketRecord
    is_new: bool = False
    """Whether the message opened the ticket."""
    is_repeated: bool = False
    """Whether an earlier run has placed the message."""
    is_stopped: bool = False
    """Whether the message's turn is to stop, since somebody has taken over its ticket."""
    overtaken: tuple[ApprovalRecord, ...] = ()
    """What others of a group have asked for, and the message has withdrawn: they are told."""

    @property
    def bot_answers(self) -> bool:
        """Whether the bot answers the message: also if its ticket was set aside after an earlier run had begun."""
        ticket = self.ticket
        may_end = self.is_repeated and not self.is_stopped and is_set_aside(ticket.state, ticket.operator_id)
        return ticket.bot_answers or may_end


async def place_message(connection: TenantConnection, claimed: ClaimedMessage, rules: TicketRules) -> Placement | None:
    """Put a claimed message into a ticket, once; None if the message has a newer run or was deleted.

    The ticket is the one whose message it quotes, else the one the customer chose, else the open one that an operator
    holds, else the newest open one. A ticket that only the bot has answered is resolved after a long silence, and the
    message opens a new one.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        claimed: the message.
        rules: when a ticket is opened or reopened.
    """
    of_conversation = select(Conversation.settings).where(Conversation.id == claimed.conversation_id)
    settings = (await connection.execute(of_conversation.with_for_update(key_share=True))).scalar_one_or_none()
    # a command may have changed them since the claim
    claimed = replace(claimed, settings=settings or {})
    known = select(InboundEvent.ticket_id, InboundEvent.cancel_requested)
    known = known.where(*is_newest_run(claimed.id, claimed.run))
    found = (await connection.execute(known)).one_or_none()
    if found is None:
        return None
    if found.ticket_id:
        ticket = await read_ticket(connection, found.ticket_id)
        return Placement(ticket, is_repeated=True, is_stopped=found.cancel_requested)
    now = datetime.now(UTC)
    here, inbound = claimed.conversation_id, claimed.inbound
    await drop_of_conversation(connection, here, "new_message", CUSTOMER, inbound.person)
    overtaken = await drop_of_conversation(connection, here, "new_message", CUSTOMER)
    opened = await _open_ticket(connection, claimed, rules, now)
    is_new = opened is None
    ticket = opened or await _add(connection, claimed, now)
    placed = update(InboundEvent).where(InboundEvent.id == claimed.id).values(ticket_id=ticket.id)
    await connection.execute(placed)
    await add_event(connection, ticket.id, "message", CUSTOMER, changes={"sequence": claimed.inbound.sequence}, at=now)
    return Placement(ticket, is_new, overtaken=tuple(overtaken) if inbound.group else ())


async def _open_ticket(
    connection: TenantConnection, claimed: ClaimedMessage, rules: TicketRules, now: datetime
) -> TicketRecord | None:
    """Return the ticket that takes the message, awake and open; None: a new one is needed."""
    chosen, quoted = claimed.settings.get(choice_of(claimed.inbound)), await _quoted(connection, claimed)
    if chosen == 0 and quoted is None:
        await _forget_choice(connection, claimed)
        return None
    tickets = await _tickets(connection, claimed.conversation_id, quoted)
    open_ = [ticket for ticket in tickets if ticket.is_open]
    wanted = next((one for one in open_ if one.number == chosen), None)
    if chosen and wanted is None:  # it is over, and a ticket that is opened again must not take new matters
        await _forget_choice(connection, claimed)
    wanted = next((one for one in tickets if one.id == quoted and _may_take(one, rules, now)), wanted)
    ticket = wanted or next((one for one in open_ if one.state == "human"), None) or next(iter(open_), None)
    if ticket is None:
        ticket = tickets[0] if tickets and _may_reopen(tickets[0], rules, now) else None
        if ticket is None:
            return None
    if not ticket.is_open:
        changes: dict[str, Any] = {
            "state": rules.reopen_to,
            "operator_id": None,
            "resolved_at": None,
            "snoozed_until": None,
        }
        if rules.reopen_to == "waiting":
            changes["waiting_since"] = now
        return await change_ticket(
            connection, ticket, "reopened", CUSTOMER, {**changes, **_newest(claimed, now, ticket)}, at=now
        )
    is_idle = ticket.state == "bot" and now - ticket.last_message_at > timedelta(hours=rules.new_ticket_after_hours)
    if is_idle and ticket is not wanted:
        ended = {"state": "resolved", "resolved_at": ticket.last_message_at}
        await change_ticket(connection, ticket, "resolved", IDLE, ended, at=now)
        return None
    if ticket.state == "snoozed":
        state = "human" if ticket.operator_id else "waiting"
        woken = {"state": state, "snoozed_until": None, "waiting_since": ticket.waiting_since or now}
        return await change_ticket(
            connection, ticket, "woken", CUSTOMER, {**woken, **_newest(claimed, now, ticket)}, at=now
        )
    newest = _newest(claimed, now, ticket)
    await connection.execute(update(Ticket).where(Ticket.id == ticket.id).values(**newest))
    return await read_ticket(connection, ticket.id)


def newest_open(inbound: Inbound) -> Select[Any]:
    """Select the id of a conversation's open ticket: the one that a person holds, else the newest."""
    key = conversation_key(inbound.account, inbound.conversation)
    return (
        select(Ticket.id)
        .join(Conversation, Conversation.id == Ticket.conversation_id)
        .where(*is_conversation(inbound.channel, "", key), Ticket.state.in_(OPEN_STATES))
        .order_by(case((Ticket.state == "human", 0), else_=1), Ticket.number.desc())
        .limit(1)
    )


async def _quoted(connection: TenantConnection, claimed: ClaimedMessage) -> str | None:
    """Return the id of the ticket whose message the claimed one quotes."""
    quoted = claimed.inbound.quoted_id
    if not quoted:
        return None
    here = OutboundMessage.conversation_id == claimed.conversation_id
    sent = (
        select(InboundEvent.ticket_id)
        .join(OutboundMessage, OutboundMessage.inbound_id == InboundEvent.id)
        .where(here, OutboundMessage.message_id == quoted)
    )
    found: str | None = (await connection.execute(sent.limit(1))).scalar_one_or_none()
    return found


def _may_reopen(ticket: TicketRecord, rules: TicketRules, now: datetime) -> bool:
    was_answered_by_person = ticket.first_response_at is not None
    return was_answered_by_person and _may_take(ticket, rules, now)


def _may_take(ticket: TicketRecord, rules: TicketRules, now: datetime) -> bool:
    """Return whether a ticket takes a message that is meant for it: it is open, or was resolved lately."""
    since = now - (ticket.resolved_at or ticket.updated_at)
    is_lately = ticket.merged_into_id is None and since <= timedelta(days=rules.reopen_days)
    return ticket.is_open or is_lately


async def _tickets(connection: TenantConnection, conversation: str, quoted: str | None) -> list[TicketRecord]:
    """Return the open tickets of a conversation, its newest one and the quoted one, newest first."""
    newest = select(func.max(Ticket.number)).where(Ticket.conversation_id == conversation).scalar_subquery()
    statement = (
        select_tickets()
        .where(
            Ticket.conversation_id == conversation,
            or_(Ticket.state.in_(OPEN_STATES), Ticket.number == newest, Ticket.id == quoted),
        )
        .order_by(Ticket.number.desc())
    )
    return [ticket_record(row) for row in await connection.execute(statement)]


async def _forget_choice(connection: TenantConnection, claimed: ClaimedMessage) -> None:
    kept = {name: value for name, value in claimed.settings.items() if name != choice_of(claimed.inbound)}
    here = Conversation.id == claimed.conversation_id
    await connection.execute(update(Conversation).where(here).values(settings=kept))


async def _add(connection: TenantConnection, claimed: ClaimedMessage, now: datetime) -> TicketRecord:
    inbound = claimed.inbound
    identity = select(PersonIdentity.person_id).where(
        PersonIdentity.channel == inbound.channel, PersonIdentity.external_user_id == inbound.person
    )
    person = (await connection.execute(identity.limit(1))).scalar_one_or_none()
    return await add_ticket(
        connection,
        CUSTOMER,
        now,
        conversation_id=claimed.conversation_id,
        person_id=person,
        subject=title(inbound),
        **_newest(claimed, now, None),
    )


async def add_ticket(connection: TenantConnection, actor: Actor, now: datetime, **values: Any) -> TicketRecord:
    """Add a ticket in state ``bot`` with the tenant's next number; its conversation is locked.

    Args:
        connection: the tenant's connection, in a transaction that writes.
        actor: who opens it.
        now: when.
        values: columns of the ticket.
    """
    row = {
        "id": str(uuid7()),
        "number": await next_number(connection),
        "state": "bot",
        "created_at": now,
        "updated_at": now,
        **values,
    }
    await connection.execute(insert(Ticket), row)
    await add_event(connection, row["id"], "opened", actor, at=now)
    return await read_ticket(connection, row["id"])


async def next_number(connection: TenantConnection) -> int:
    """Return the number of the tenant's next ticket; until the end of the transaction nobody else gets one."""
    await connection.execute(select(Tenant.id).where(Tenant.id == connection.tenant).with_for_update(key_share=True))
    number = select(func.coalesce(func.max(Ticket.number), 0) + 1)
    return int((await connection.execute(number)).scalar_one())


def language_after(claimed: ClaimedMessage, ticket: TicketRecord | None) -> str | None:
    """Return the language of a ticket after a message of its customer; None: it is not known.

    The customer's choice by ``/lang`` counts first, then an operator's, then that of a text that is long enough to tell
    it for certain. A short text tells it only where nothing else is known, since "Quando aprite?" could be Portuguese.
    """
    inbound, settings = claimed.inbound, claimed.settings
    if chosen := settings.get("language"):
        return str(chosen)
    known = ticket.language if ticket else None
    if known and ticket and ticket.signals.get(LANGUAGE_IS_SET):
        return known
    written = detected_language(inbound.text)
    if written and has_letters(inbound.text, _MIN_CERTAIN_LATIN_LETTERS, _MIN_CERTAIN_OTHER_LETTERS):
        return written
    reported = base_language(inbound.locale)
    if known is None and reported and is_in_script_of(reported, inbound.text):
        return reported
    return known or written or settings.get(DETECTED_LANGUAGE) or reported or None


def _newest(claimed: ClaimedMessage, now: datetime, ticket: TicketRecord | None) -> dict[str, Any]:
    """Return the columns that the newest message of the customer sets.

    Args:
        claimed: the message.
        now: the time.
        ticket: the ticket until now; None: it is a new one.
    """
    inbound = claimed.inbound
    is_lasting = not (inbound.reply_to or "").startswith("https://")  # of a command: an address for a short time
    # a name that the customer has left once stands for later messages too
    known = ticket.delivery.display_name if ticket and ticket.delivery.person == inbound.person else ""
    address = DeliveryAddress(
        inbound.account,
        inbound.conversation,
        inbound.person,
        inbound.display_name or known,
        inbound.locale,
        inbound.group,
        inbound.reply_to if is_lasting else None,
    )
    return {
        "delivery": address.as_dict(),
        "language": language_after(claimed, ticket),
        "last_message_at": now,
        "last_from": "customer",
    }
