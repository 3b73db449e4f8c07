"""Tables of the knowledge base; full-text and nearest-neighbour indexes are derived from them."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, LargeBinary, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from qwendesk.memory.tables.conversations import Base, Id, TenantId

EPOCH = 2**32
"""Added to the revision when all documents are replaced, which makes the cached ids of passages invalid."""
ChunkId = BigInteger().with_variant(Integer, "sqlite")


class KbDocument(Base):
    """A document; ``scope``, made of its person and conversation, determines its readers."""

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
    conversion_version: Mapped[int]
    """Version of conversion and chunking; a document of another version counts as changed."""
    terms_version: Mapped[int] = mapped_column(server_default="1")
    """Version of the search terms of its passages; ``reindex`` recomputes those of another version."""
    notes: Mapped[str] = mapped_column(server_default="")
    """Notes on the conversion for readers, one a line."""
    added_at: Mapped[datetime]


class KbChunk(Base):
    """A passage; ids are never reused, so that caches can distinguish new passages from old ones."""

    __tablename__ = "kb_chunk"
    __table_args__ = (UniqueConstraint("document_id", "ordinal"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(ChunkId, primary_key=True)
    tenant_id: Mapped[TenantId]
    document_id: Mapped[str] = mapped_column(Text, ForeignKey("kb_document.id", ondelete="CASCADE"))
    scope: Mapped[str]
    """Copy of the document's scope, for searches without a join."""
    ordinal: Mapped[int]
    headings: Mapped[str]
    place: Mapped[str]
    text: Mapped[str]
    terms: Mapped[str]
    """Terms of the full-text index: words, and pairs of characters in scripts without spaces."""


class KbEmbedding(Base):
    """A passage's vector and the model that computed it."""

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
    """A tenant's revision number, which changes with its documents and invalidates caches."""

    __tablename__ = "kb_state"

    tenant_id: Mapped[str] = mapped_column(Text, ForeignKey("tenant.id", ondelete="CASCADE"), primary_key=True)
    revision: Mapped[int] = mapped_column(BigInteger)
