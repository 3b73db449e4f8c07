"""Tables of what is learned from tickets: customers' ratings, and drafts for the knowledge base."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.tickets import OperatorId, TicketId


class TicketRating(Base):
    """A customer's rating of the help in a ticket; there is one row as soon as the customer was asked."""

    __tablename__ = "ticket_rating"
    __table_args__ = (CheckConstraint("score BETWEEN 1 AND 5", name="score"), Index(None, "tenant_id", "asked_at"))

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[str] = mapped_column(Text, ForeignKey("ticket.id", ondelete="CASCADE"), unique=True)
    operator_id: Mapped[OperatorId]
    """Who helped; None: the bot."""
    score: Mapped[int | None]
    """1 (bad) to 5 (very good); None: not answered."""
    comment: Mapped[str | None]
    asked_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]


class KnowledgeDraft(Base):
    """A question that the desk could not answer with the answer of an operator, for the knowledge base."""

    __tablename__ = "knowledge_draft"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'approved', 'dismissed')", name="status"),
        Index(None, "tenant_id", "status", "created_at"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    question: Mapped[str]
    answer: Mapped[str]
    language: Mapped[str | None]
    status: Mapped[str]
    document: Mapped[str | None]
    """The name of the document that an approved draft became."""
    operator_id: Mapped[OperatorId]
    """Who decided."""
    created_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
