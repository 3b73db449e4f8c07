"""Tables of outbound webhooks: what is known of each, and the deliveries of tickets' events to them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.tickets import TicketId

EventId = Annotated[str, mapped_column(Text, ForeignKey("ticket_event.id", ondelete="CASCADE"), index=True)]


class Webhook(Base):
    """An outbound webhook of the settings, and up to when events were looked at for it."""

    __tablename__ = "webhook"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[str]
    """The name in the settings, or the host."""
    started_at: Mapped[datetime]
    """Earlier events are not sent."""
    read_until: Mapped[datetime]
    """Events until then have their deliveries, but for those that were committed late."""


class WebhookDelivery(Base):
    """An event of a ticket that is sent to a webhook; its id is the ``webhook-id``."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        UniqueConstraint("tenant_id", "webhook", "event_id"),
        CheckConstraint("status IN ('waiting', 'done', 'failed')", name="status"),
        Index(None, "status", "next_at"),
        Index(None, "webhook", "ticket_id", "status"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    webhook: Mapped[str]
    """Name of the webhook."""
    event_id: Mapped[EventId]
    ticket_id: Mapped[TicketId]
    kind: Mapped[str]
    """Kind of the event."""
    status: Mapped[str] = mapped_column(server_default="waiting")
    """``waiting``: for its first or next try. ``done``: the receiver took it. ``failed``: it was given up."""
    attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    """Tries since it was made, or retried by hand."""
    next_at: Mapped[datetime]
    """When it is tried next; while it is being sent, when another process may send it."""
    response_status: Mapped[int | None]
    """HTTP status of the last answer; None: there was none."""
    error: Mapped[str | None]
    """Why the last try failed."""
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
