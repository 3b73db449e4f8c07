"""Documents for the rest of the memory: revision, deletion, move to another person, and checks."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Connection,
    delete,
    func,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DBAPIError

from qwendesk.memory.database import Database, upsert
from qwendesk.memory.records import DocumentScope
from qwendesk.memory.tables.documents import EPOCH, KbChunk, KbDocument, KbEmbedding, KbState
from qwendesk.memory.tenancy import TenantConnection

_VECTOR_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename ~ '^kb_hnsw_'"
_PROBLEMS = {
    "{} documents without all of their passages": (
        "kb_document d WHERE d.chunks <> (SELECT count(*) FROM kb_chunk c WHERE c.document_id = d.id)"
    ),
    "{} passages are for others than their document": (
        "kb_chunk c JOIN kb_document d ON d.id = c.document_id WHERE c.scope <> d.scope OR c.tenant_id <> d.tenant_id"
    ),
    "{} vectors are for others than their passage": (
        "kb_embedding e JOIN kb_chunk c ON c.id = e.chunk_id WHERE e.scope <> c.scope OR e.tenant_id <> c.tenant_id"
    ),
    "{} vectors are not of the size they say": "kb_embedding WHERE length(vector) <> 2 * dimension",
}
"""Problems, and the query of the rows concerned."""
_ADVICE = "read the documents anew ('qwendesk kb rm' and 'kb add') or restore a backup"


async def increment_revision(connection: TenantConnection) -> None:
    """Increment the tenant's revision, which invalidates vectors in memory."""
    grown = {"revision": KbState.revision + 1}
    statement = upsert(connection.raw.dialect.name, KbState)
    await connection.execute(statement.on_conflict_do_update(index_elements=["tenant_id"], set_=grown), {"revision": 1})


async def increment_revision_after_removal(connection: TenantConnection) -> None:
    """Increment the revision after a deletion, and remove deleted terms from SQLite's index."""
    await increment_revision(connection)
    if connection.raw.dialect.name == "sqlite":
        # FTS5 only marks a deleted term; merging the segments of the index removes it from the file.
        await connection.raw.exec_driver_sql("INSERT INTO kb_chunk_fts (kb_chunk_fts) VALUES ('optimize')")


async def move_documents(connection: TenantConnection, *, into: str, person: str) -> int:
    """Move a person's documents to another person; of two with one address the newer stays."""
    old, new = DocumentScope(person=person).key, DocumentScope(person=into).key
    if doubles := await _doubles(connection, into, person):
        await connection.execute(delete(KbDocument).where(KbDocument.id.in_(doubles)))
    documents = select(KbDocument.id).where(KbDocument.person_id == person)
    chunks = select(KbChunk.id).where(KbChunk.document_id.in_(documents))
    for table, of_person in (
        (KbEmbedding, KbEmbedding.chunk_id.in_(chunks)),
        (KbChunk, KbChunk.document_id.in_(documents)),
    ):
        await connection.execute(update(table).where(of_person).values(scope=func.replace(table.scope, old, new)))
    if connection.raw.dialect.name == "postgresql":
        await _move_in_vector_tables(connection, person, old, new)
    values = {"person_id": into, "scope": func.replace(KbDocument.scope, old, new)}
    moved = (await connection.execute(update(KbDocument).where(KbDocument.person_id == person).values(values))).rowcount
    if moved or doubles:
        await increment_revision_after_removal(connection)
    return moved


async def _doubles(connection: TenantConnection, into: str, person: str) -> list[str]:
    """Return the older ones of two documents with one address."""
    old, new = DocumentScope(person=person).key, DocumentScope(person=into).key
    columns: tuple[Any, ...] = (KbDocument.id, KbDocument.scope, KbDocument.uri)
    of_both = select(*columns).where(KbDocument.person_id.in_([person, into]))
    newest: set[tuple[str, str]] = set()
    doubles = []
    for id_, scope, uri in await connection.execute(of_both.order_by(KbDocument.added_at.desc(), KbDocument.id.desc())):
        address = (scope.replace(old, new), uri)
        if address in newest:
            doubles.append(id_)
        newest.add(address)
    return doubles


async def _move_in_vector_tables(connection: TenantConnection, person: str, old: str, new: str) -> None:
    """Change the scope in PostgreSQL's tables of vector indexes, which have no class."""
    values = {"person": person, "old": old, "new": new, "tenant": connection.tenant}
    for table in (await connection.raw.execute(text(_VECTOR_TABLES))).scalars().all():
        moving = text(
            f'UPDATE "{table}" SET scope = replace(scope, :old, :new) WHERE tenant_id = :tenant AND chunk_id IN '
            "(SELECT c.id FROM kb_chunk c JOIN kb_document d ON d.id = c.document_id WHERE d.person_id = :person)"
        )
        await connection.raw.execute(moving, values)


async def find_problems(database: Database) -> list[str]:
    """Return problems of documents, passages, vectors and SQLite's full-text index."""
    found = []
    async with database.read() as connection:
        for problem, rows in _PROBLEMS.items():
            if count := (await connection.execute(text(f"SELECT count(*) FROM {rows}"))).scalar_one():
                found.append(f"{problem.format(count)}: {_ADVICE}")
    return found + (await _index_problems(database) if database.is_sqlite else [])


async def _index_problems(database: Database) -> list[str]:
    async with database.write() as connection:
        try:
            # 1: compare the index with its table.
            await connection.exec_driver_sql(
                "INSERT INTO kb_chunk_fts (kb_chunk_fts, rank) VALUES ('integrity-check', 1)"
            )
        except DBAPIError:
            return [f"the full-text index does not fit the passages: {_ADVICE}"]
    return []


async def epoch(database: Database) -> int:
    """Return the highest epoch of all tenants' documents."""
    if database.file and not database.file.exists():
        return 0
    async with database.read() as connection:
        return await connection.run_sync(_epoch)


def _epoch(connection: Connection) -> int:
    if not inspect(connection).has_table(KbState.__tablename__):
        return 0
    return (connection.execute(select(func.max(KbState.revision))).scalar() or 0) // EPOCH


async def begin_epoch(database: Database, number: int) -> None:
    """Begin an epoch, which invalidates vectors and passage ids in memory."""
    later = max(number, await epoch(database) + 1)
    async with database.write() as connection:
        await connection.execute(update(KbState).values(revision=later * EPOCH))
