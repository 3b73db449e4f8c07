"""Tables of imports from other help desks: each run, and what of the other system is here already."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId


class ImportRun(Base):
    """One import from another help desk."""

    __tablename__ = "import_run"
    __table_args__ = (CheckConstraint("status IN ('running', 'done', 'stopped')", name="status"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    system: Mapped[str]
    """``chatwoot`` or ``zammad``."""
    source: Mapped[str]
    """Name of the installation; ids of the other system are unique within it."""
    location: Mapped[str]
    """The folder, or the address without credentials."""
    status: Mapped[str]
    """``running`` also stands for a run whose process was killed."""
    counts: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """By kind, how many were added, changed, unchanged and left out."""
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
    """When it was undone; it stays while it has items, by which what was forgotten or deleted is not imported again."""


class ImportItem(Base):
    """Something of the other system that was imported; it is not imported again."""

    __tablename__ = "import_item"
    __table_args__ = (
        UniqueConstraint("tenant_id", "source", "kind", "external_id"),
        CheckConstraint("kind IN ('contact', 'ticket', 'article', 'canned')", name="kind"),
    )

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    run_id: Mapped[str] = mapped_column(Text, ForeignKey("import_run.id", ondelete="CASCADE"), index=True)
    """The run that has added it."""
    source: Mapped[str]
    kind: Mapped[str]
    external_id: Mapped[str]
    """Its number in the other system; of a contact without one, a digest."""
    person_id: Mapped[str | None] = mapped_column(Text, ForeignKey("person.id", ondelete="SET NULL"), index=True)
    """The person of a contact; None: forgotten since, and not imported again, also after the run was undone."""
    ticket_id: Mapped[str | None] = mapped_column(Text, ForeignKey("ticket.id", ondelete="SET NULL"), index=True)
    """The ticket of a conversation; None: deleted since, and not imported again, also after the run was undone."""
    last_message: Mapped[int | None] = mapped_column(BigInteger)
    """The highest number of an imported message of a conversation."""
    details: Mapped[dict[str, Any]] = mapped_column(server_default=sql("'{}'"))
    """What was added with it, by which it is undone: ids, and names of documents and canned answers."""
    imported_at: Mapped[datetime]
