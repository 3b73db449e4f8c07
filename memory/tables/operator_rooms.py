"""Tables of operators' rooms: the thread of each ticket, who an operator is on a channel, and what was handled."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Text, UniqueConstraint, false
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.tickets import TicketId


class RoomThread(Base):
    """The thread or topic of a ticket in an operators' room; a thread that was deleted has no row."""

    __tablename__ = "room_thread"
    __table_args__ = (
        UniqueConstraint("tenant_id", "channel", "room", "ticket_id"),
        UniqueConstraint("tenant_id", "channel", "conversation"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    channel: Mapped[str]
    room: Mapped[str]
    """The room's id on the platform."""
    conversation: Mapped[str]
    """The conversation of the thread on its channel."""
    head_id: Mapped[str | None]
    """The platform's id of the first message, which shows the ticket's state; None: it is not sent yet."""
    is_introduced: Mapped[bool] = mapped_column(server_default=false())
    """Whether the thread has the ticket's summary and its last messages."""
    newest_sequence: Mapped[int] = mapped_column(server_default=sql("0"))
    """Number of the newest message among those that the introduction shows."""
    newest_event_id: Mapped[str] = mapped_column(server_default="")
    """Id of the newest event at the introduction; earlier changes are not told."""
    opened_at: Mapped[datetime]


class OperatorLink(Base):
    """The account of an operator on a channel, or the code that links it."""

    __tablename__ = "operator_link"
    __table_args__ = (
        UniqueConstraint("tenant_id", "operator_id", "channel"),
        UniqueConstraint("tenant_id", "channel", "person"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operator_id: Mapped[str] = mapped_column(Text, ForeignKey("operator.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str]
    person: Mapped[str | None]
    """The operator's id on the platform; None: no code was used yet."""
    display_name: Mapped[str] = mapped_column(server_default="")
    """The operator's name on the platform."""
    code_digest: Mapped[str | None]
    """Digest of the code that links an account; None: there is no valid code."""
    code_expires_at: Mapped[datetime | None]
    linked_at: Mapped[datetime | None]


class HandledRoomMessage(Base):
    """A message of an operators' room that was handled; a second delivery of it is ignored."""

    __tablename__ = "handled_room_message"
    __table_args__ = (UniqueConstraint("tenant_id", "channel", "event"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    channel: Mapped[str]
    event: Mapped[str]
    """The platform's id of the delivery."""
    handled_at: Mapped[datetime] = mapped_column(index=True)
