"""The tables of the knowledge base; full text and nearest-neighbour indexes are derived from them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId

EPOCH = 2**32
"""A revision grows by this when all documents are replaced at once: numbers of passages mean others from then on."""
ChunkId = BigInteger().with_variant(Integer, "sqlite")


class KbDocument(Base):
    """A document; ``scope`` is the key of the two references beside it, and says who may find it."""

    __tablename__ = "kb_document"
    __table_args__ = (UniqueConstraint("tenant_id", "scope", "uri"),)

    id: Mapped[Id]
    tenant_id: Mapped[TenantId]
    person_id: Mapped[str | None] = mapped_column(Text, ForeignKey("person.id", ondelete="CASCADE"), index=True)
    conversation_id: Mapped[str | None] = mapped_column(
        Text, ForeignKey("conversation.id", ondelete="CASCADE"), index=True
    )
    scope: Mapped[str]
    uri: Mapped[str]
    title: Mapped[str]
    kind: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    chunks: Mapped[int]
    recipe: Mapped[int]
    """The version of converting and cutting; another one makes a document count as changed."""
    terms_version: Mapped[int] = mapped_column(server_default="1")
    """The version of the terms of its passages; those of another one are computed anew by ``reindex``."""
    notes: Mapped[str] = mapped_column(server_default="")
    """What a reader of it should know of how it was read, a line each."""
    added_at: Mapped[datetime]


class KbChunk(Base):
    """A passage; its number is never used again, so that caches can tell new from old."""

    __tablename__ = "kb_chunk"
    __table_args__ = (UniqueConstraint("document_id", "ordinal"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(ChunkId, primary_key=True)
    tenant_id: Mapped[TenantId]
    document_id: Mapped[str] = mapped_column(Text, ForeignKey("kb_document.id", ondelete="CASCADE"))
    scope: Mapped[str]
    """The document's own, so that a search need not look it up."""
    ordinal: Mapped[int]
    headings: Mapped[str]
    place: Mapped[str]
    text: Mapped[str]
    terms: Mapped[str]
    """What the full-text index holds: words and pairs of signs, in any script."""


class KbEmbedding(Base):
    """A passage's vector, with the model it is of."""

    __tablename__ = "kb_embedding"
    __table_args__ = (Index(None, "tenant_id", "model", "chunk_id"),)

    chunk_id: Mapped[int] = mapped_column(ChunkId, ForeignKey("kb_chunk.id", ondelete="CASCADE"), primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    tenant_id: Mapped[TenantId]
    scope: Mapped[str]
    dimension: Mapped[int]
    vector: Mapped[bytes] = mapped_column(LargeBinary)
    """Little-endian float16."""


class KbState(Base):
    """A number for each tenant that changes with its documents, so that caches know when they are old."""

    __tablename__ = "kb_state"

    tenant_id: Mapped[str] = mapped_column(Text, ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
