"""Documents in the database; each is stored and deleted in one transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection
from uuid_utils import uuid7

from qwendesk.knowledge.base import Chunk, KnowledgeState, Passage, StoredDocument, Vectors
from qwendesk.knowledge.chunking import CONVERSION_VERSION, embedded_text
from qwendesk.knowledge.fulltext import indexed_terms
from qwendesk.knowledge.vectors import VectorIndex, pack_vector, unpack_vector
from qwendesk.memory.database import Database
from qwendesk.memory.documents import increment_revision, increment_revision_after_removal
from qwendesk.memory.records import DocumentScope
from qwendesk.memory.tables.documents import KbChunk, KbDocument, KbEmbedding
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.search_terms import TERMS_VERSION

_ROWS_PER_STATEMENT = 500


@dataclass(frozen=True, slots=True)
class DocumentSource:
    """Metadata of a file."""

    uri: str
    title: str
    kind: str
    size: int
    sha256: str
    notes: tuple[str, ...] = ()
    """Remarks on the conversion."""


class DocumentRepository:
    """Stores, lists and deletes documents, their passages and vectors."""

    def __init__(self, database: Database, vector_index: VectorIndex) -> None:
        self._database = database
        self._vector_index = vector_index

    async def find(self, uri: str, scope: DocumentScope) -> tuple[str, str, int] | None:
        """Return id, checksum and conversion version of the document with this URI; None: there is none."""
        columns = (KbDocument.id, KbDocument.sha256, KbDocument.conversion_version)
        statement = select(*columns).where(*_at(uri, scope))
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one_or_none()
        return (row[0], row[1], row[2]) if row else None

    async def put(
        self,
        source: DocumentSource,
        scope: DocumentScope,
        chunks: Sequence[Chunk],
        vectors: Vectors | None,
        model: str | None,
    ) -> None:
        """Store a document; one with the same URI and scope is replaced."""
        if vectors is not None and model:
            await self._vector_index.prepare(model, vectors.shape[1])
        await self._database.shield(self._put(source, scope, chunks, vectors, model))

    async def _put(
        self,
        source: DocumentSource,
        scope: DocumentScope,
        chunks: Sequence[Chunk],
        vectors: Vectors | None,
        model: str | None,
    ) -> None:
        document = _document_row(source, scope, len(chunks))
        rows = [_chunk_row(document, number, chunk, source.title) for number, chunk in enumerate(chunks)]
        async with self._database.write() as connection:
            await connection.execute(delete(KbDocument).where(*_at(source.uri, scope)))
            await connection.execute(insert(KbDocument), document)
            numbers = await _insert_chunks(connection, rows)
            if vectors is not None and model:
                owners = [(number, scope.key) for number in numbers]
                await self._add_vectors(connection, model, scope.tenant, owners, vectors)
            await increment_revision(TenantConnection(connection, scope.tenant))

    async def add_vectors(self, model: str, tenant: str, owners: Sequence[tuple[int, str]], vectors: Vectors) -> None:
        """Store the vectors of passages, given as id and scope; vectors of other models are deleted."""
        await self._vector_index.prepare(model, vectors.shape[1])
        await self._database.shield(self._replace_vectors(model, tenant, owners, vectors))

    async def _replace_vectors(
        self, model: str, tenant: str, owners: Sequence[tuple[int, str]], vectors: Vectors
    ) -> None:
        old = delete(KbEmbedding).where(KbEmbedding.chunk_id.in_([number for number, _ in owners]))
        async with self._database.write() as connection:
            await connection.execute(old)
            await self._add_vectors(connection, model, tenant, owners, vectors)
            await increment_revision(TenantConnection(connection, tenant))

    async def without_vector(
        self, tenant: str, model: str, limit: int, *, after: int = 0, scope: DocumentScope | None = None
    ) -> list[tuple[int, str, str]]:
        """Return id, scope and text to embed of passages without a vector of the model; with ``scope`` only its own."""
        has = select(KbEmbedding.chunk_id).where(KbEmbedding.chunk_id == KbChunk.id, KbEmbedding.model == model)
        columns = (KbChunk.id, KbChunk.scope, KbChunk.headings, KbChunk.place, KbChunk.text, KbDocument.title)
        statement = (
            select(*columns)
            .join(KbDocument, KbDocument.id == KbChunk.document_id)
            .where(KbChunk.tenant_id == tenant, KbChunk.id > after, ~has.exists())
            .order_by(KbChunk.id)
            .limit(limit)
        )
        if scope:
            statement = statement.where(KbChunk.scope == scope.key)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [(row[0], row[1], embedded_text(Chunk(row[4], row[2], row[3]), row[5])) for row in rows]

    async def embedded(self, numbers: Sequence[int], model: str) -> set[int]:
        """Return the ids of the given passages that have a vector of the model."""
        statement = select(KbEmbedding.chunk_id).where(KbEmbedding.chunk_id.in_(numbers), KbEmbedding.model == model)
        async with self._database.read() as connection:
            return set((await connection.execute(statement)).scalars().all())

    async def vectors(self, numbers: Sequence[int], model: str) -> dict[int, NDArray[np.float32]]:
        """Return the vectors of the given passages that have one of the model."""
        columns = (KbEmbedding.chunk_id, KbEmbedding.vector)
        statement = select(*columns).where(KbEmbedding.chunk_id.in_(numbers), KbEmbedding.model == model)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return {row[0]: unpack_vector(row[1]) for row in rows}

    async def remove(self, tenant: str, ids: Sequence[str]) -> int:
        """Delete documents with their passages and vectors; return the number of documents."""
        return await self._database.shield(self._remove(tenant, ids))

    async def _remove(self, tenant: str, ids: Sequence[str]) -> int:
        gone = delete(KbDocument).where(KbDocument.tenant_id == tenant, KbDocument.id.in_(list(ids)))
        async with self._database.write() as connection:
            count = (await connection.execute(gone)).rowcount
            if count:
                await increment_revision_after_removal(TenantConnection(connection, tenant))
        return int(count)

    async def delete_vectors(self, tenant: str) -> None:
        """Delete all vectors of a tenant."""
        await self._database.shield(self._delete_vectors(tenant))

    async def _delete_vectors(self, tenant: str) -> None:
        async with self._database.write() as connection:
            await connection.execute(delete(KbEmbedding).where(KbEmbedding.tenant_id == tenant))

    async def documents(self, tenant: str, model: str | None) -> list[StoredDocument]:
        """Return the documents of a tenant, ordered by URI."""
        embedded = (
            select(KbChunk.document_id, func.count().label("embedded"))
            .join(KbEmbedding, KbEmbedding.chunk_id == KbChunk.id)
            .where(KbEmbedding.tenant_id == tenant, KbEmbedding.model == (model or ""))
            .group_by(KbChunk.document_id)
            .subquery()
        )
        of = KbDocument
        columns: tuple[Any, ...] = (of.id, of.uri, of.title, of.kind, of.size, of.sha256, of.chunks)
        statement = (
            select(*columns, func.coalesce(embedded.c.embedded, 0), of.scope, of.notes, of.added_at)
            .outerjoin(embedded, embedded.c.document_id == of.id)
            .where(of.tenant_id == tenant)
            .order_by(of.uri, of.scope)
        )
        async with self._database.read() as connection:
            return [StoredDocument(*tuple(row)) for row in await connection.execute(statement)]

    async def outdated(self, tenant: str) -> list[tuple[str, DocumentScope]]:
        """Return URI and scope of the documents that an older version converted."""
        of = KbDocument
        statement = select(of.uri, of.person_id, of.conversation_id).where(
            of.tenant_id == tenant, of.conversion_version != CONVERSION_VERSION
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return [(row[0], DocumentScope(tenant, row[1], row[2])) for row in rows]

    async def state(self, tenant: str, model: str | None) -> KnowledgeState:
        """Return the counts of a tenant's documents and passages."""
        mine = KbDocument.tenant_id == tenant
        vectors = select(func.count()).where(KbEmbedding.tenant_id == tenant, KbEmbedding.model == (model or ""))
        statement = select(
            select(func.count()).select_from(KbDocument).where(mine).scalar_subquery(),
            select(func.coalesce(func.sum(KbDocument.chunks), 0)).where(mine).scalar_subquery(),
            vectors.scalar_subquery(),
            select(func.count())
            .select_from(KbDocument)
            .where(mine, KbDocument.terms_version != TERMS_VERSION)
            .scalar_subquery(),
        )
        async with self._database.read() as connection:
            row = (await connection.execute(statement)).one()
        return KnowledgeState(int(row[0]), int(row[1]), int(row[2]), int(row[3]), model)

    async def has_documents(self, scope: DocumentScope, *, whole_tenant: bool) -> bool:
        """Return whether the scope may read a document; with ``whole_tenant``, whether its tenant has one."""
        which = (KbDocument.tenant_id == scope.tenant,) if whole_tenant else _readable(scope)
        statement = select(select(KbDocument.id).where(*which).exists())
        async with self._database.read() as connection:
            return bool((await connection.execute(statement)).scalar())

    async def passages(self, scores: Mapping[int, float], scope: DocumentScope) -> list[Passage]:
        """Return passages by id, best score first, without those that the scope may not read."""
        columns: tuple[Any, ...] = (KbChunk.id, KbDocument.id, KbDocument.title, KbDocument.uri)
        of_chunk: tuple[Any, ...] = (KbChunk.headings, KbChunk.place, KbChunk.text)
        statement = (
            select(*columns, *of_chunk)
            .join(KbDocument, KbDocument.id == KbChunk.document_id)
            .where(KbChunk.id.in_(list(scores)), *_readable(scope))
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        found = [Passage(*(*row, scores[row[0]])) for row in rows]
        return sorted(found, key=lambda passage: (-passage.score, passage.chunk))

    async def first_passages(self, uris: Sequence[str], scope: DocumentScope, limit: int) -> list[Passage]:
        """Return the first passages of documents with these URIs."""
        first = (
            select(KbChunk.id)
            .join(KbDocument, KbDocument.id == KbChunk.document_id)
            .where(KbDocument.uri.in_(list(uris)), *_readable(scope))
            .order_by(KbChunk.ordinal, KbChunk.id)
            .limit(limit)
        )
        async with self._database.read() as connection:
            numbers = (await connection.execute(first)).scalars().all()
        return await self.passages({number: 1 / rank for rank, number in enumerate(numbers, 1)}, scope)

    async def _add_vectors(
        self,
        connection: AsyncConnection,
        model: str,
        tenant: str,
        owners: Sequence[tuple[int, str]],
        vectors: Vectors,
    ) -> None:
        rows = [
            {
                "chunk_id": number,
                "model": model,
                "tenant_id": tenant,
                "scope": scope,
                "dimension": len(vector),
                "vector": pack_vector(vector),
            }
            for (number, scope), vector in zip(owners, vectors, strict=True)
        ]
        if rows:
            await connection.execute(insert(KbEmbedding), rows)
            await self._vector_index.add(connection, model, rows)


def _at(uri: str, scope: DocumentScope) -> tuple[ColumnElement[bool], ...]:
    return (KbDocument.tenant_id == scope.tenant, KbDocument.scope == scope.key, KbDocument.uri == uri)


def _readable(scope: DocumentScope) -> tuple[ColumnElement[bool], ...]:
    return (KbDocument.tenant_id == scope.tenant, KbDocument.scope.in_(scope.visible))


async def _insert_chunks(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> list[int]:
    statement = insert(KbChunk).returning(KbChunk.id, sort_by_parameter_order=True)
    numbers: list[int] = []
    for start in range(0, len(rows), _ROWS_PER_STATEMENT):
        numbers += (await connection.execute(statement, rows[start : start + _ROWS_PER_STATEMENT])).scalars().all()
    return numbers


def _document_row(source: DocumentSource, scope: DocumentScope, chunks: int) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "tenant_id": scope.tenant,
        "person_id": scope.person,
        "conversation_id": scope.conversation,
        "scope": scope.key,
        "uri": source.uri,
        "title": source.title,
        "kind": source.kind,
        "size": source.size,
        "sha256": source.sha256,
        "chunks": chunks,
        "conversion_version": CONVERSION_VERSION,
        "terms_version": TERMS_VERSION,
        "notes": "\n".join(source.notes),
        "added_at": datetime.now(UTC),
    }


def _chunk_row(document: Mapping[str, Any], number: int, chunk: Chunk, title: str) -> dict[str, Any]:
    return {
        "tenant_id": document["tenant_id"],
        "document_id": document["id"],
        "scope": document["scope"],
        "ordinal": number,
        "headings": chunk.headings,
        "place": chunk.place,
        "text": chunk.text,
        "terms": indexed_terms(chunk, title),
    }
