"""The tables of what is kept beside the messages: tool calls, summaries, facts, links and the audit."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, ConversationId, Id, TenantId

_LIVE = text("valid_to IS NULL")


class ToolCall(Base):
    """One call of a tool in a turn."""

    __tablename__ = "tool_call"
    __table_args__ = (UniqueConstraint("turn_id", "ordinal"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    turn_id: Mapped[str] = mapped_column(Text, ForeignKey("turn.id", ondelete="CASCADE"))
    ordinal: Mapped[int]
    name: Mapped[str]
    arguments: Mapped[dict[str, Any]]
    ok: Mapped[bool]
    result: Mapped[str]
    duration_ms: Mapped[float]


class ConversationSummary(Base):
    """What was said up to a turn, in short; the messages stay."""

    __tablename__ = "conversation_summary"
    __table_args__ = (UniqueConstraint("conversation_id", "to_seq"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    conversation_id: Mapped[ConversationId]
    to_seq: Mapped[int]
    text: Mapped[str]
    model: Mapped[str]
    created_at: Mapped[datetime]


class StoredFact(Base):
    """Something known about a person; a newer value closes the older one, which stays."""

    __tablename__ = "fact"
    __table_args__ = (
        Index(
            "uq_fact_live",
            *("tenant_id", "namespace", "key", "person_id"),
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        # the only index that begins with the person, so that a planner has no other that would need sorting
        Index("ix_fact_newest", "person_id", "namespace", "id"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    person_id: Mapped[str] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"))
    namespace: Mapped[str] = mapped_column(server_default="")
    """Whose shelf it stands on; empty: the desk's own."""
    key: Mapped[str]
    value: Mapped[str]
    data: Mapped[dict[str, Any] | None]
    """The value of a LangGraph store's item."""
    category: Mapped[str]
    confidence: Mapped[float]
    source_message_id: Mapped[str | None] = mapped_column(
        Text, ForeignKey("message.id", ondelete="SET NULL"), index=True
    )
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    # Deferred: the old value is closed before the new one is there, since only one may be live.
    superseded_by: Mapped[str | None] = mapped_column(
        Text, ForeignKey("fact.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED"), index=True
    )


class LinkCode(Base):
    """A code by which a person joins two channels; both sides have to enter it."""

    __tablename__ = "link_code"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    digest: Mapped[str]
    """SHA-256 of the code."""
    owner_id: Mapped[str] = mapped_column(Text, ForeignKey("person_identity.id", ondelete="CASCADE"), index=True)
    other_id: Mapped[str | None] = mapped_column(Text, ForeignKey("person_identity.id", ondelete="CASCADE"), index=True)
    owner_entered: Mapped[bool]
    expires_at: Mapped[datetime]


class AuditEntry(Base):
    """What was done to the data, without any of its content."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "tenant_id", "at"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    at: Mapped[datetime]
    action: Mapped[str]
    subject: Mapped[str]
    """The id it was done to, which leads nowhere once the rows are gone."""
    counts: Mapped[dict[str, Any]]
