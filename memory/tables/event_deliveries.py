"""Tables of what is told of tickets' events: webhooks and operators' rooms, and the deliveries of events to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.tickets import TicketId

EventId = Annotated[str, mapped_column(Text, ForeignKey("ticket_event.id", ondelete="CASCADE"), index=True)]


class EventReader(Base):
    """A webhook or an operators' room of the settings, and up to when events were looked at for it."""

    __tablename__ = "event_reader"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[str]
    """Of a webhook the name in the settings, or the host; ``operators_room:CHANNEL`` of an operators' room."""
    started_at: Mapped[datetime]
    """Earlier events are not delivered."""
    read_until: Mapped[datetime]
    """Events until then have their deliveries, but for those that were committed late."""


class EventDelivery(Base):
    """An event of a ticket that is delivered to a reader; for a webhook its id is the ``webhook-id``."""

    __tablename__ = "event_delivery"
    __table_args__ = (
        UniqueConstraint("tenant_id", "reader", "event_id"),
        CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
        Index(None, "status", "next_at"),
        Index(None, "reader", "ticket_id", "status"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    reader: Mapped[str]
    """Name of the reader."""
    event_id: Mapped[EventId]
    ticket_id: Mapped[TicketId]
    kind: Mapped[str]
    """Kind of the event."""
    status: Mapped[str] = mapped_column(server_default="waiting")
    """``waiting``: for its first or next try. ``done``: the reader has it. ``failed``: it was given up."""
    attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    """Tries since it was made, or retried by hand."""
    next_at: Mapped[datetime]
    """When it is tried next; while it is being sent, when another process may send it."""
    response_status: Mapped[int | None]
    """HTTP status of a webhook's last answer; None: there was none."""
    parts_sent: Mapped[int] = mapped_column(server_default=sql("0"))
    """Messages of it that an operators' room has; a later try sends the others."""
    error: Mapped[str | None]
    """Why the last try failed."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
