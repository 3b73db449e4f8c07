"""Tables of tool calls, summaries, facts, link codes and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, ConversationId, Id, TenantId

_LIVE = text("valid_to IS NULL")


class ToolCall(Base):
    """A tool call of a turn."""

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
    """A summary of a conversation up to a turn; the messages stay."""

    __tablename__ = "conversation_summary"
    __table_args__ = (UniqueConstraint("conversation_id", "to_sequence"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    conversation_id: Mapped[ConversationId]
    to_sequence: Mapped[int]
    text: Mapped[str]
    model: Mapped[str]
    created_at: Mapped[datetime]


class StoredFact(Base):
    """A fact about a person; a newer value closes the older one, which stays."""

    __tablename__ = "fact"
    __table_args__ = (
        Index(
            "uq_fact_live",
            *("tenant_id", "namespace", "key", "person_id"),
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        # The only index that begins with the person: a planner with another choice would take it and sort.
        Index("ix_fact_newest", "person_id", "namespace", "id"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    person_id: Mapped[str] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"))
    namespace: Mapped[str] = mapped_column(server_default="")
    """LangGraph's store namespace; empty: the desk's own facts."""
    key: Mapped[str]
    value: Mapped[str]
    data: Mapped[dict[str, Any] | None]
    """Value of a LangGraph store item."""
    category: Mapped[str]
    confidence: Mapped[float]
    source_message_id: Mapped[str | None] = mapped_column(
        Text, ForeignKey("message.id", ondelete="SET NULL"), index=True
    )
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    # Deferred: the old fact is closed before its successor is inserted, since only one may be live.
    superseded_by: Mapped[str | None] = mapped_column(
        Text, ForeignKey("fact.id", ondelete="SET NULL", deferrable=True, initially="DEFERRED"), index=True
    )


class LinkCode(Base):
    """A code that links a person's identities on two channels; both sides have to enter it."""

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
    """An operation on the data, without content."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "tenant_id", "at"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    at: Mapped[datetime]
    action: Mapped[str]
    subject: Mapped[str]
    """Id of the row or person concerned."""
    counts: Mapped[dict[str, Any]]
