"""Values of tickets: who acts, a ticket, an event, a note, and the errors of a change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import Row

from qwendesk.errors import InputError
from qwendesk.memory.tables.conversations import Conversation
from qwendesk.memory.tables.operators import Operator
from qwendesk.memory.tables.tickets import Ticket

TicketState = Literal["bot", "waiting", "human", "resolved", "snoozed"]
TICKET_STATES: tuple[TicketState, ...] = get_args(TicketState)
OPEN_STATES: tuple[TicketState, ...] = ("bot", "waiting", "human", "snoozed")
ActorKind = Literal["customer", "bot", "operator", "rule", "api"]
Priority = Literal["low", "normal", "high", "urgent"]
PRIORITIES: tuple[Priority, ...] = get_args(Priority)
"""Priorities from the lowest; the table stores their index."""
Writer = Literal["customer", "bot", "operator"]
Opens = Callable[[str | None, datetime], datetime | None]
"""Returns when a team that is closed at a time opens next; None if it is open, or has no hours."""
IMPORT_CHANNEL = "{}-import"
"""Channel of conversations that were imported from another help desk; nothing can be sent there."""
_MAX_NAME_CHARS = 30
"""Characters of a customer's name on a channel from which it is taken for an id, unless it is an address."""


class TicketError(InputError):
    """A change of a ticket is not possible; the text says why and what to do."""


class TicketConflict(TicketError):
    """Somebody else was faster, such as a colleague who holds the ticket.

    Args:
        text: what happened and what to do.
        holder: the name of the operator who holds the ticket; empty: nobody.
    """

    def __init__(self, text: str, holder: str = "") -> None:
        super().__init__(text)
        self.holder = holder


class TicketGone(TicketError):
    """There is no such ticket, or it was deleted meanwhile."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes a ticket."""

    kind: ActorKind
    operator_id: str | None = None
    """Id of the operator."""
    name: str = ""
    """The operator's name, or what a rule is called."""

    @classmethod
    def operator(cls, id_: str, name: str) -> Actor:
        """Return an operator as the actor."""
        return cls("operator", id_, name)

    @classmethod
    def rule(cls, name: str) -> Actor:
        """Return a rule of the desk as the actor, such as ``snooze`` or ``service_times``."""
        return cls("rule", None, name)


CUSTOMER = Actor("customer")
BOT = Actor("bot")
DELIVERY = Actor.rule("delivery")


@dataclass(frozen=True, slots=True)
class DeliveryAddress:
    """Where messages to a ticket's customer go, by the customer's newest message."""

    account: str = ""
    conversation: str = ""
    """The conversation's key on its channel."""
    person: str = ""
    """The customer's name on the channel."""
    display_name: str = ""
    locale: str | None = None
    group: bool = False
    reply_to: str | None = None
    """The platform's id of the newest message, in whose thread an answer goes."""

    def as_dict(self) -> dict[str, Any]:
        """Return the values to be stored."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return {name: value for name, value in values.items() if value}


def is_set_aside(state: str, operator_id: str | None) -> bool:
    """Return whether a ticket was resolved or snoozed without a holder: what the bot is answering is answered."""
    return state in ("resolved", "snoozed") and operator_id is None


@dataclass(frozen=True, slots=True)
class TicketRecord:
    """A ticket."""

    id: str
    number: int
    conversation_id: str
    channel: str
    person_id: str | None
    delivery: DeliveryAddress
    state: TicketState
    operator_id: str | None
    """The holder, or in state ``waiting`` the operator it is assigned to."""
    operator_name: str
    """The name of that operator that customers see; empty: nobody."""
    subject: str
    priority: Priority
    tags: tuple[str, ...]
    fields: dict[str, Any]
    team: str | None
    language: str | None
    reason: str | None
    signals: dict[str, Any]
    version: int
    merged_into_id: str | None
    snoozed_until: datetime | None
    waiting_since: datetime | None
    first_response_at: datetime | None
    resolved_at: datetime | None
    last_message_at: datetime
    last_from: Writer
    created_at: datetime
    updated_at: datetime
    is_imported: bool = False
    """Whether it comes from another help desk."""
    is_untouched: bool = False
    """Whether it was imported and has no event here yet."""

    @property
    def is_open(self) -> bool:
        """Whether it is not resolved."""
        return self.state != "resolved"

    @property
    def bot_answers(self) -> bool:
        """Whether the bot answers the customer's messages."""
        return self.state == "bot"

    @property
    def is_reachable(self) -> bool:
        """Whether a message can be sent to the customer; there is no way to the conversation of an imported ticket."""
        return not self.channel.endswith(IMPORT_CHANNEL.format(""))

    @property
    def customer(self) -> str:
        """The customer's name for operators; of an id that tells nobody anything, only the beginning."""
        person = self.delivery.person
        is_id = len(person) > _MAX_NAME_CHARS and " " not in person and "@" not in person
        return self.delivery.display_name or (f"{person[:8]}…" if is_id else person)


def ticket_columns() -> tuple[Any, ...]:
    """Return the columns of a ``TicketRecord``, to be selected from ``tickets_with_names``."""
    return (*Ticket.__table__.columns, Conversation.channel, Operator.display_name.label("operator_name"))


def ticket_record(row: Row[Any]) -> TicketRecord:
    """Return the ticket of a row with ``ticket_columns``."""
    values = dict(row._mapping)
    values.pop("tenant_id")
    values["delivery"] = DeliveryAddress(**values["delivery"])
    values["priority"] = PRIORITIES[values["priority"]]
    values["tags"] = tuple(values["tags"])
    values["operator_name"] = values["operator_name"] or ""
    return TicketRecord(**values)


@dataclass(frozen=True, slots=True)
class TicketEventRecord:
    """A change of a ticket."""

    id: str
    ticket_id: str
    kind: str
    actor: ActorKind
    operator_id: str | None
    operator_name: str
    reason: str
    changes: dict[str, Any]
    at: datetime


@dataclass(frozen=True, slots=True)
class TicketNoteRecord:
    """A note that only operators see."""

    id: str
    ticket_id: str
    operator_id: str | None
    operator_name: str
    text: str
    mentions: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class TicketRules:
    """When there are tickets, and how messages are put into them."""

    enabled: Literal["auto", "on", "off"] = "auto"
    """Whether there are tickets; ``auto``: where an operator's account exists."""
    new_ticket_after_hours: float = 24.0
    """Hours of silence after which a message opens a new ticket where only the bot has answered."""
    reopen_days: float = 7.0
    """Days after its resolution during which a message reopens a ticket that an operator has answered; later, and where
    only the bot has answered, it opens a new one."""
    reopen_to: Literal["bot", "waiting"] = "bot"
    """The state of a reopened ticket."""
    answer_after_hand_back: bool = True
    """Whether the bot answers a customer's last message that nobody has answered when its ticket is handed back."""
    announce: bool = False
    """Whether the customer is told that an operator has taken a ticket over, or handed it back to the bot."""
    teams: tuple[str, ...] = field(default=())
    """Known teams; empty: any."""
    opens: Opens = field(default=lambda team, now: None)
    """The opening hours, which a customer is told who is handed over; without any, nothing is told of them."""
