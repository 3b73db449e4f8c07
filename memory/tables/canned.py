"""Tables of canned answers: one for each matter, with a text in each language."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.types import Json


class CannedAnswerRow(Base):
    """An answer that is written once, in one language."""

    __tablename__ = "canned_answer"
    __table_args__ = (UniqueConstraint("tenant_id", "shortcut"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    shortcut: Mapped[str]
    """The name by which operators find it, such as ``refund-days``."""
    language: Mapped[str]
    """The language that it is written in; all others are translations."""
    version: Mapped[int] = mapped_column(server_default=sql("1"))
    """Incremented by each change of the text or the questions in that language."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CannedTextRow(Base):
    """The text of a canned answer in a language."""

    __tablename__ = "canned_text"
    __table_args__ = (
        UniqueConstraint("answer_id", "language"),
        CheckConstraint("status IN ('source', 'machine', 'reviewed')", name="status"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    answer_id: Mapped[str] = mapped_column(Text, ForeignKey("canned_answer.id", ondelete="CASCADE"))
    language: Mapped[str]
    text: Mapped[str]
    questions: Mapped[list[str]] = mapped_column(Json, server_default=sql("'[]'"))
    """Sample questions that it answers."""
    status: Mapped[str]
    """``source``: as it was written. ``machine``: translated, and not reviewed. ``reviewed``: a person has read it."""
    version: Mapped[int]
    """The version of the answer that the text belongs to; an older one is outdated."""
    doubts: Mapped[list[str]] = mapped_column(Json, server_default=sql("'[]'"))
    """What a reviewer should look at, in words."""
    model: Mapped[str | None]
    reviewed_by: Mapped[str | None]
    updated_at: Mapped[datetime]
