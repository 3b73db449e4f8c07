"""Tables of what operators keep for their work: saved views, macros, drafts, read marks, changes to be undone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.tickets import OperatorId, TicketId

_TheirId = Annotated[str, mapped_column(Text, ForeignKey("operator.id", ondelete="CASCADE"), index=True)]


class SavedView(Base):
    """A list of tickets that an operator has named: its filters."""

    __tablename__ = "saved_view"
    __table_args__ = (UniqueConstraint("tenant_id", "operator_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operator_id: Mapped[_TheirId]
    name: Mapped[str]
    query: Mapped[dict[str, Any]]
    """The parameters of the list's address."""
    is_shared: Mapped[bool] = mapped_column(server_default=false())
    """Whether colleagues see it, too."""
    created_at: Mapped[datetime]


class Macro(Base):
    """Steps that are carried out together on a ticket."""

    __tablename__ = "macro"
    __table_args__ = (UniqueConstraint("tenant_id", "name"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operator_id: Mapped[OperatorId]
    """Who wrote it."""
    name: Mapped[str]
    steps: Mapped[dict[str, Any]]
    """Names of steps with their values, such as ``{"add_tags": ["refund"], "state": "resolved"}``."""
    text: Mapped[str]
    """A text for the reply; empty: none."""
    created_at: Mapped[datetime]


class ReplyDraft(Base):
    """What an operator has begun to write on a ticket."""

    __tablename__ = "reply_draft"
    __table_args__ = (
        UniqueConstraint("ticket_id", "operator_id", "kind"),
        CheckConstraint("kind IN ('reply', 'note')", name="kind"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    operator_id: Mapped[_TheirId]
    kind: Mapped[str]
    text: Mapped[str]
    updated_at: Mapped[datetime]


class TicketRead(Base):
    """When an operator last looked at a ticket."""

    __tablename__ = "ticket_read"
    __table_args__ = (UniqueConstraint("ticket_id", "operator_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    ticket_id: Mapped[TicketId]
    operator_id: Mapped[_TheirId]
    read_at: Mapped[datetime]


class BulkChange(Base):
    """A change of several tickets at once, with what they were before, so that it can be undone."""

    __tablename__ = "bulk_change"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operator_id: Mapped[_TheirId]
    before: Mapped[list[dict[str, Any]]]
    """Id, state, holder, priority, tags and end of the snooze of each ticket; no text of a message."""
    created_at: Mapped[datetime]
