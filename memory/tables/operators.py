"""Tables of the people who work at the desk: their accounts, their sessions in a browser, and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId
from qwendesk.memory.tables.types import Json


class Operator(Base):
    """An account of a person who answers customers."""

    __tablename__ = "operator"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name"),
        CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="role"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    name: Mapped[str]
    """The log-in name, in lower case."""
    display_name: Mapped[str]
    """The name that customers see."""
    password_hash: Mapped[str]
    role: Mapped[str]
    languages: Mapped[list[str]] = mapped_column(Json, server_default=text("'[]'"))
    """Codes of the languages that the operator reads and writes; the first one is preferred."""
    teams: Mapped[list[str]] = mapped_column(Json, server_default=text("'[]'"))
    totp_secret: Mapped[str | None]
    """The secret of the second factor; it is asked for once ``is_totp_confirmed`` is set."""
    is_totp_confirmed: Mapped[bool] = mapped_column(server_default=false())
    totp_last_step: Mapped[int | None]
    """Time step of the last accepted code, which is not accepted again."""
    failed_logins: Mapped[int] = mapped_column(server_default=text("0"))
    locked_until: Mapped[datetime | None]
    is_available: Mapped[bool] = mapped_column(server_default=true())
    """Whether the operator takes new tickets while online."""
    seen_at: Mapped[datetime | None]
    """Last request of a session or message in an operators' room; a recent one means that the operator is online."""
    page_seen_at: Mapped[datetime | None]
    """Last sign of life of an open page without a stream; nothing tells when such a page is closed."""
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class OperatorSession(Base):
    """A session of an operator in a browser; its id is a digest of the token in the cookie."""

    __tablename__ = "operator_session"

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operator_id: Mapped[str] = mapped_column(Text, ForeignKey("operator.id", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[str]
    needs_totp: Mapped[bool] = mapped_column(server_default=false())
    """Whether the password was right and the second factor has yet to be given."""
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class OperatorAudit(Base):
    """What an operator read, changed or exported; it holds no text of a message."""

    __tablename__ = "operator_audit"
    __table_args__ = (Index(None, "tenant_id", "at"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    operator_id: Mapped[str | None] = mapped_column(Text, ForeignKey("operator.id", ondelete="SET NULL"), index=True)
    operator_name: Mapped[str]
    """The log-in name at that time; ``command line`` for a command."""
    action: Mapped[str]
    """Such as ``login``, ``ticket.read``, ``ticket.take_over``, ``export``."""
    subject: Mapped[str]
    """What it was done to, such as ``ticket:12``; without personal data."""
    details: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    address: Mapped[str | None]
    at: Mapped[datetime]
