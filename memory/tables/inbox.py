"""Tables of the durable desk: inbound and outbound messages, rate limits, access, workers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, ConversationId, Id, TenantId


class InboundEvent(Base):
    """An accepted message; ``event`` is the platform's id of it, which identifies duplicates.

    A message of the desk to a customer, such as an operator's, goes through the same queue, so that it is delivered in
    the conversation's order.
    """

    __tablename__ = "inbound_event"
    __table_args__ = (
        UniqueConstraint("tenant_id", "channel", "account", "event"),
        UniqueConstraint("conversation_id", "sequence"),
        CheckConstraint("status IN ('queued', 'done', 'failed', 'stopped', 'dead')", name="status"),
        CheckConstraint("source IN ('customer', 'operator', 'desk')", name="source"),
        Index(
            "ix_inbound_event_open",
            "conversation_id",
            sqlite_where=sql("status = 'queued'"),
            postgresql_where=sql("status = 'queued'"),
        ),
        Index(
            "ix_inbound_event_finished",
            "finished_at",
            sqlite_where=sql("finished_at IS NOT NULL"),
            postgresql_where=sql("finished_at IS NOT NULL"),
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    channel: Mapped[str]
    account: Mapped[str]
    event: Mapped[str | None]
    conversation_id: Mapped[ConversationId]
    sequence: Mapped[int]
    person: Mapped[str]
    source: Mapped[str] = mapped_column(server_default="customer")
    """Who wrote it: the customer, an operator, or the desk itself."""
    ticket_id: Mapped[str | None] = mapped_column(Text, ForeignKey("ticket.id", ondelete="SET NULL"), index=True)
    operator_id: Mapped[str | None] = mapped_column(Text, ForeignKey("operator.id", ondelete="SET NULL"), index=True)
    payload: Mapped[dict[str, Any]]
    """The message without its file contents."""
    status: Mapped[str] = mapped_column(server_default="queued")
    runs: Mapped[int] = mapped_column(server_default=sql("0"))
    """Number of runs begun; a worker whose run is not the newest may not send anything."""
    forgiven_runs: Mapped[int] = mapped_column(server_default=sql("0"))
    """Runs that do not count as failed attempts: the message was requeued, or the desk was stopped."""
    generation: Mapped[int] = mapped_column(server_default=sql("0"))
    """How often the message was requeued for a new answer; each generation has its own outbound keys."""
    saved_reply: Mapped[dict[str, Any] | None]
    """A reply that no turn stores, such as that of a command; saved before it is sent."""
    cancel_requested: Mapped[bool] = mapped_column(server_default=sql("false"))
    """Whether the person asked to cancel the answer."""
    error: Mapped[str | None]
    received_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class InboundFile(Base):
    """A file of an accepted message."""

    __tablename__ = "inbound_file"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    inbound_id: Mapped[str] = mapped_column(Text, ForeignKey("inbound_event.id", ondelete="CASCADE"), index=True)
    ordinal: Mapped[int]
    kind: Mapped[str]
    mime: Mapped[str]
    name: Mapped[str]
    content: Mapped[bytes]


class OutboundMessage(Base):
    """A message to a person and its delivery status."""

    __tablename__ = "outbound"
    __table_args__ = (
        UniqueConstraint("key"),
        CheckConstraint("status IN ('queued', 'sending', 'sent', 'failed')", name="status"),
        Index("ix_outbound_conversation_id_id", "conversation_id", "id"),
        Index(
            "ix_outbound_failed",
            "id",
            sqlite_where=sql("status = 'failed'"),
            postgresql_where=sql("status = 'failed'"),
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    key: Mapped[str]
    inbound_id: Mapped[str | None] = mapped_column(Text, ForeignKey("inbound_event.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[ConversationId]
    part: Mapped[int]
    text: Mapped[str]
    plain: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str]
    message_id: Mapped[str | None]
    """The platform's id of it after delivery; a streamed answer has one before it is complete."""
    attempts: Mapped[int] = mapped_column(server_default=sql("0"))
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class RateBucket(Base):
    """A token bucket of a rate limit."""

    __tablename__ = "rate_bucket"

    key: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant_id: Mapped[TenantId]
    tokens: Mapped[float]
    updated_at: Mapped[float]
    """Seconds since 1970."""


class Access(Base):
    """A person's access to the desk on a channel, and their role."""

    __tablename__ = "access"
    __table_args__ = (
        UniqueConstraint("tenant_id", "channel", "account", "person"),
        CheckConstraint("state IN ('waiting', 'allowed', 'denied')", name="state"),
        CheckConstraint("role IN ('person', 'operator', 'owner')", name="role"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    channel: Mapped[str]
    account: Mapped[str]
    person: Mapped[str]
    display_name: Mapped[str]
    state: Mapped[str]
    role: Mapped[str] = mapped_column(server_default="person")
    code: Mapped[str | None] = mapped_column(unique=True)
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class DeskWorker(Base):
    """A worker process; messages of a worker without a heartbeat are reassigned."""

    __tablename__ = "desk_worker"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    host: Mapped[str]
    process: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
