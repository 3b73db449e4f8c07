"""Tables of tickets: one for each matter of a customer, its events, notes, and the translations of its messages."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, false
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, ConversationId, Id, MessageId, TenantId
from qwendesk.memory.tables.types import Json

TicketId = Annotated[str, mapped_column(Text, ForeignKey("ticket.id", ondelete="CASCADE"), index=True)]
OperatorId = Annotated[str | None, mapped_column(Text, ForeignKey("operator.id", ondelete="SET NULL"), index=True)]


class Ticket(Base):
    """One matter of a customer in a conversation, its state and its holder."""

    __tablename__ = "ticket"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        CheckConstraint("state IN ('bot', 'waiting', 'human', 'resolved', 'snoozed')", name="state"),
        CheckConstraint("priority IN (0, 1, 2, 3)", name="priority"),
        Index(None, "tenant_id", "state", "updated_at"),
        Index(None, "conversation_id", "number"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    number: Mapped[int]
    """Number that people see, counted from 1 in each tenant."""
    conversation_id: Mapped[ConversationId]
    person_id: Mapped[str | None] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"), index=True)
    """The customer; None until the first message is stored."""
    delivery: Mapped[dict[str, Any]]
    """Where a message to the customer goes: account, conversation, person and locale of the newest message."""
    state: Mapped[str]
    """``bot``: the bot answers. ``waiting``: for an operator. ``human``: its holder answers, the bot is silent.
    ``snoozed``: until ``snoozed_until`` or the customer's next message. ``resolved``: closed."""
    operator_id: Mapped[OperatorId]
    """The holder in state ``human``; in state ``waiting``, the operator it is assigned to."""
    subject: Mapped[str]
    priority: Mapped[int] = mapped_column(server_default=sql("1"))
    """0 low, 1 normal, 2 high, 3 urgent."""
    tags: Mapped[list[str]] = mapped_column(Json, server_default=sql("'[]'"))
    fields: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """Custom fields."""
    team: Mapped[str | None]
    language: Mapped[str | None]
    """The customer's language, as a code such as ``de``."""
    reason: Mapped[str | None]
    """Why it was handed over last, such as ``asked``, ``failed_checks``, ``anger``."""
    signals: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """What the rules of handing over count, such as answers of low confidence in a row."""
    is_imported: Mapped[bool] = mapped_column(server_default=false())
    """Whether it comes from another help desk: reports count only what was done to it here."""
    is_untouched: Mapped[bool] = mapped_column(server_default=false())
    """Whether it was imported, and has no event here yet: it follows the other system, and no rule of time applies."""
    version: Mapped[int] = mapped_column(server_default=sql("1"))
    """Incremented by each change."""
    merged_into_id: Mapped[str | None] = mapped_column(Text, ForeignKey("ticket.id", ondelete="SET NULL"))
    snoozed_until: Mapped[datetime | None]
    waiting_since: Mapped[datetime | None]
    """When it was handed over, until an operator's first answer."""
    first_response_at: Mapped[datetime | None]
    """The first answer of an operator."""
    resolved_at: Mapped[datetime | None]
    last_message_at: Mapped[datetime]
    last_from: Mapped[str] = mapped_column(server_default="customer")
    """Who wrote the last message: ``customer``, ``bot`` or ``operator``."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TicketEvent(Base):
    """A change of a ticket: who, what, why; ids are in the order of the changes."""

    __tablename__ = "ticket_event"
    __table_args__ = (
        CheckConstraint("actor IN ('customer', 'bot', 'operator', 'rule', 'api')", name="actor"),
        Index(None, "tenant_id", "at"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    kind: Mapped[str]
    """Such as ``opened``, ``message``, ``handed_over``, ``taken_over``, ``handed_back``, ``resolved``, ``tagged``."""
    actor: Mapped[str]
    operator_id: Mapped[OperatorId]
    reason: Mapped[str] = mapped_column(server_default="")
    changes: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """The changed columns with their new values; no text of a message."""
    at: Mapped[datetime]


class TicketNote(Base):
    """A note on a ticket that only operators see."""

    __tablename__ = "ticket_note"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    operator_id: Mapped[OperatorId]
    author: Mapped[str | None]
    """The name of a writer who has no account here."""
    text: Mapped[str]
    mentions: Mapped[list[str]] = mapped_column(Json, server_default=sql("'[]'"))
    """Ids of the operators who are mentioned."""
    created_at: Mapped[datetime]


class TicketText(Base):
    """What the desk itself told a ticket's customer, such as that a person answers next; no model reads it."""

    __tablename__ = "ticket_text"
    __table_args__ = (UniqueConstraint("ticket_id", "key"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    key: Mapped[str]
    """Identifies the text among those of all tickets, so that it is stored once, and can move to another ticket."""
    sequence: Mapped[int]
    """Number in the conversation, of itself or of the message that it answers."""
    text: Mapped[str]
    created_at: Mapped[datetime]


class TicketApproval(Base):
    """Calls of risky tools that operators decide on before a turn goes on, and how they have decided."""

    __tablename__ = "ticket_approval"
    __table_args__ = (
        UniqueConstraint("pending_id"),
        CheckConstraint("status IN ('waiting', 'decided', 'done', 'dropped')", name="status"),
        Index(
            "ix_ticket_approval_waiting",
            "ticket_id",
            sqlite_where=sql("status = 'waiting'"),
            postgresql_where=sql("status = 'waiting'"),
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    turn_id: Mapped[str] = mapped_column(Text, ForeignKey("turn.id", ondelete="CASCADE"), index=True)
    pending_id: Mapped[str]
    """Id of the row of ``pending_turn`` with the state that goes on; that row is deleted when it does."""
    sequence: Mapped[int]
    """Number of the customer's message."""
    calls: Mapped[list[dict[str, Any]]]
    """The calls with their arguments and the reasons why they need an approval."""
    decisions: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """By the id of a call: whether it was approved, by whom, with which other arguments, and whether it was made."""
    status: Mapped[str] = mapped_column(server_default="waiting")
    """``decided``: on all calls, and the turn goes on. ``done``: it has gone on. ``dropped``: it will not."""
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it was dropped, such as ``new_message`` or ``expired``."""
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]


class TicketPresence(Base):
    """An operator who has a ticket open, for the warning that a colleague writes."""

    __tablename__ = "ticket_presence"
    __table_args__ = (UniqueConstraint("ticket_id", "operator_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    operator_id: Mapped[str] = mapped_column(Text, ForeignKey("operator.id", ondelete="CASCADE"), index=True)
    typing_at: Mapped[datetime | None]
    """When the operator typed last."""
    seen_at: Mapped[datetime]


class MessageTranslation(Base):
    """A message in another language; the original stays in the message."""

    __tablename__ = "message_translation"
    __table_args__ = (
        UniqueConstraint("message_id", "language"),
        CheckConstraint("status IN ('done', 'refused', 'failed')", name="status"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    message_id: Mapped[MessageId]
    language: Mapped[str]
    text: Mapped[str]
    """The translation; empty where there is none."""
    status: Mapped[str]
    """``refused``: the result failed a check, such as a changed number. ``failed``: no model answered."""
    doubts: Mapped[list[str]] = mapped_column(Json, server_default=sql("'[]'"))
    """What a reader should look at, in words."""
    model: Mapped[str | None]
    created_at: Mapped[datetime]
