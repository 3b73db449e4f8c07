"""Tables of tenants, people, conversations, messages and turns; every row belongs to a tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar

from sqlalchemy import CheckConstraint, Double, ForeignKey, Index, MetaData, Text, UniqueConstraint, text, true
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from qwendesk.memory.tables.types import Json, SafeText, UtcDateTime

DEFAULT_TENANT = "default"
ANSWER_LANGUAGE = "answer_language"
"""Conversation setting: the language that was wished for all of its answers."""
VERIFIED_CUSTOMER = "verified_customer"
"""Conversation setting: ``id``, ``name`` and ``email`` of the customer, as the shop's server has signed them."""
Id = Annotated[str, mapped_column(SafeText, primary_key=True)]
"""A UUIDv7 as text, made by the program; ids sort by time."""
TenantId = Annotated[
    str, mapped_column(Text, ForeignKey("tenant.id"), default=DEFAULT_TENANT, server_default=DEFAULT_TENANT)
]
ConversationId = Annotated[str, mapped_column(Text, ForeignKey("conversation.id", ondelete="CASCADE"))]
MessageId = Annotated[str, mapped_column(Text, ForeignKey("message.id", ondelete="CASCADE"))]


class Base(DeclarativeBase):
    """Base of all tables; constraints have names so that a migration can change them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        float: Double,
        str: SafeText,
        datetime: UtcDateTime,
        dict[str, Any]: Json,
        list[dict[str, Any]]: Json,
    }


class Tenant(Base):
    """Owner of rows; a query sees the rows of one tenant."""

    __tablename__ = "tenant"

    id: Mapped[Id]
    name: Mapped[str]


class Person(Base):
    """A person who writes on one or several channels."""

    __tablename__ = "person"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    remembers: Mapped[bool] = mapped_column(server_default=true())
    """Whether the person allows facts about them to be stored and used."""
    listed_facts: Mapped[dict[str, Any] | None]
    """Ids of the facts in the numbered list that the person saw last, and when."""
    created_at: Mapped[datetime]


class PersonIdentity(Base):
    """A person's name on one channel."""

    __tablename__ = "person_identity"
    __table_args__ = (UniqueConstraint("tenant_id", "channel", "account", "external_user_id"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    person_id: Mapped[str] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"), index=True)
    channel: Mapped[str]
    account: Mapped[str]
    external_user_id: Mapped[str]
    created_at: Mapped[datetime]


class Conversation(Base):
    """A conversation on one channel; ``next_sequence`` is the number of its next turn."""

    __tablename__ = "conversation"
    __table_args__ = (
        UniqueConstraint("tenant_id", "channel", "account", "external_id"),
        Index(None, "tenant_id", "updated_at"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    channel: Mapped[str]
    account: Mapped[str]
    external_id: Mapped[str]
    next_sequence: Mapped[int]
    title: Mapped[str]
    locale: Mapped[str | None]
    settings: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    learned_sequence: Mapped[int] = mapped_column(server_default=text("0"))
    """Sequence of the last turn whose messages have been searched for facts."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Message(Base):
    """A message; a question and its answer have the same ``sequence``, an operator's message has its own."""

    __tablename__ = "message"
    __table_args__ = (
        UniqueConstraint("conversation_id", "sequence", "role", "part"),
        CheckConstraint("role IN ('user', 'assistant', 'operator')", name="role"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    conversation_id: Mapped[ConversationId]
    sequence: Mapped[int]
    role: Mapped[str]
    part: Mapped[int]
    person_id: Mapped[str | None] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"), index=True)
    text: Mapped[str]
    parts: Mapped[list[dict[str, Any]] | None]
    """References to the attachments, in order; NULL: none."""
    model: Mapped[str | None]
    ticket_id: Mapped[str | None] = mapped_column(Text, ForeignKey("ticket.id", ondelete="SET NULL"), index=True)
    operator_id: Mapped[str | None] = mapped_column(Text, ForeignKey("operator.id", ondelete="SET NULL"), index=True)
    """The writer of an operator's message."""
    author: Mapped[str | None]
    """The name of an operator who has no account here, such as of an imported message."""
    created_at: Mapped[datetime]


class StoredAttachment(Base):
    """A file sent with a message, with its content."""

    __tablename__ = "attachment"
    __table_args__ = (UniqueConstraint("message_id", "ordinal"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    message_id: Mapped[MessageId]
    ordinal: Mapped[int]
    kind: Mapped[str]
    mime: Mapped[str]
    name: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    content: Mapped[bytes]


class Turn(Base):
    """The processing of one question: status, answering model and receipt."""

    __tablename__ = "turn"
    __table_args__ = (
        UniqueConstraint("conversation_id", "sequence"),
        CheckConstraint("status IN ('running', 'done', 'failed', 'stopped')", name="status"),
        Index(
            "ix_turn_running",
            "conversation_id",
            sqlite_where=text("status = 'running'"),
            postgresql_where=text("status = 'running'"),
        ),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    conversation_id: Mapped[ConversationId]
    sequence: Mapped[int]
    question_id: Mapped[MessageId] = mapped_column(unique=True)
    status: Mapped[str]
    error: Mapped[str | None]
    role: Mapped[str | None]
    confidence: Mapped[float | None]
    model: Mapped[str | None]
    engine: Mapped[str | None]
    receipt: Mapped[dict[str, Any] | None]
    thinking: Mapped[str] = mapped_column(server_default="")
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class PendingTurn(Base):
    """The state of a turn that waits for the approval of a risky call; it is deleted when the turn goes on."""

    __tablename__ = "pending_turn"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    turn_id: Mapped[str] = mapped_column(Text, ForeignKey("turn.id", ondelete="CASCADE"), unique=True)
    person_id: Mapped[str] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"), index=True)
    """Who asked."""
    calls: Mapped[list[dict[str, Any]]]
    """The calls that wait, with their arguments and reasons."""
    state: Mapped[bytes]
    """LangGraph's checkpoint without the conversation, which is read again."""
    expires_at: Mapped[datetime]


class Feedback(Base):
    """A person's rating of an answer; a newer rating replaces the older one."""

    __tablename__ = "feedback"
    __table_args__ = (CheckConstraint("rating IN (1, -1)", name="rating"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    turn_id: Mapped[str] = mapped_column(Text, ForeignKey("turn.id", ondelete="CASCADE"), index=True)
    person_id: Mapped[str | None] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"), index=True)
    rating: Mapped[int]
    preferred_role: Mapped[str | None]
    preferred_model: Mapped[str | None]
    comment: Mapped[str | None]
    created_at: Mapped[datetime]
