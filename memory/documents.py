"""Documents for the rest of the memory: revision, deletion, move to another person, and checks."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Delete,
    Insert,
    Select,
    Update,
    bindparam,
    delete,
    func,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError

from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.memory.tables.documents import EPOCH, KbChunk, KbDocument, KbEmbedding, KbState
from qwendesk.memory.tenancy import TenantConnection

_VECTOR_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename ~ '^kb_hnsw_'"


async def note_change(connection: TenantConnection) -> None:
    """Increment the tenant's revision, which invalidates vectors in memory."""
    await connection.execute(_raise_revision(connection.raw.dialect.name), {"revision": 1})


async def note_removal(connection: TenantConnection) -> None:
    """Increment the revision after a deletion, and remove deleted terms from SQLite's index."""
    await note_change(connection)
    if connection.raw.dialect.name == "sqlite":
        # FTS5 only marks a deleted term; merging the segments of the index removes it from the file.
        await connection.raw.exec_driver_sql("INSERT INTO kb_chunk_fts (kb_chunk_fts) VALUES ('optimize')")


async def move_documents(connection: TenantConnection, *, into: str, person: str) -> int:
    """Move a person's documents to another person; of two with one address the newer stays."""
    values = {
        "of_person": person,
        "into": into,
        "old": DocumentScope(person=person).key,
        "new": DocumentScope(person=into).key,
    }
    if doubles := await _doubles(connection, values):
        await connection.execute(_delete(), {"documents": doubles})
    for scope in (_scope_of_chunks(), _scope_of_embeddings()):
        await connection.execute(scope, values)
    if connection.raw.dialect.name == "postgresql":
        await _move_indexed(connection, values)
    moved = (await connection.execute(_move(), values)).rowcount
    if moved or doubles:
        await note_removal(connection)
    return moved


async def _doubles(connection: TenantConnection, values: dict[str, str]) -> list[str]:
    both = {"both": [values["of_person"], values["into"]]}
    newest: set[tuple[str, str]] = set()
    doubles = []
    for id_, scope, uri in await connection.execute(_of_both(), both):
        place = (scope.replace(values["old"], values["new"]), uri)
        if place in newest:
            doubles.append(id_)
        newest.add(place)
    return doubles


async def _move_indexed(connection: TenantConnection, values: dict[str, str]) -> None:
    for table in (await connection.raw.execute(text(_VECTOR_TABLES))).scalars().all():
        moving = text(
            f'UPDATE "{table}" SET scope = replace(scope, :old, :new) WHERE tenant_id = :tenant AND chunk_id IN '
            "(SELECT c.id FROM kb_chunk c JOIN kb_document d ON d.id = c.document_id WHERE d.person_id = :of_person)"
        )
        known = {name: values[name] for name in ("old", "new", "of_person")}
        await connection.raw.execute(moving, known | {"tenant": connection.tenant})


@cache
def _raise_revision(dialect: str) -> Insert:
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    grown = {"revision": KbState.revision + 1}
    statement: Insert = insert(KbState).on_conflict_do_update(index_elements=["tenant_id"], set_=grown)
    return statement


@cache
def _of_both() -> Select[Any]:
    columns: tuple[Any, ...] = (KbDocument.id, KbDocument.scope, KbDocument.uri)
    both = KbDocument.person_id.in_(bindparam("both", expanding=True))
    return select(*columns).where(both).order_by(KbDocument.added_at.desc(), KbDocument.id.desc())


@cache
def _delete() -> Delete:
    return delete(KbDocument).where(KbDocument.id.in_(bindparam("documents", expanding=True)))


def _chunks_of_person() -> Select[Any]:
    of_theirs = select(KbChunk.id).join(KbDocument, KbDocument.id == KbChunk.document_id)
    return of_theirs.where(KbDocument.person_id == bindparam("of_person"))


@cache
def _scope_of_chunks() -> Update:
    documents = select(KbDocument.id).where(KbDocument.person_id == bindparam("of_person"))
    return update(KbChunk).where(KbChunk.document_id.in_(documents)).values(scope=_renamed(KbChunk.scope))


@cache
def _scope_of_embeddings() -> Update:
    return (
        update(KbEmbedding)
        .where(KbEmbedding.chunk_id.in_(_chunks_of_person()))
        .values(scope=_renamed(KbEmbedding.scope))
    )


@cache
def _move() -> Update:
    values: dict[str, Any] = {"person_id": bindparam("into"), "scope": _renamed(KbDocument.scope)}
    return update(KbDocument).where(KbDocument.person_id == bindparam("of_person")).values(values)


def _renamed(scope: Any) -> Any:
    return func.replace(scope, bindparam("old"), bindparam("new"))


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
