"""What upkeep has to know of documents: what was made of them fits them, and nobody goes on with what is replaced."""

from __future__ import annotations

from sqlalchemy import Connection, func, inspect, select, text, update
from sqlalchemy.exc import DBAPIError

from qwendesk.memory.database import Database
from qwendesk.memory.knowledge.tables import EPOCH, KbState

_FAULTS = {
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
"""What is wrong, and the rows of which it is."""
_STEP = "read the documents anew ('qwendesk kb rm' and 'kb add') or restore a backup"


async def faults(database: Database) -> list[str]:
    """Return what is wrong with documents, passages, vectors, and SQLite's index of words."""
    found = []
    async with database.read() as connection:
        for fault, rows in _FAULTS.items():
            if count := (await connection.execute(text(f"SELECT count(*) FROM {rows}"))).scalar_one():
                found.append(f"{fault.format(count)}: {_STEP}")
    return found + (await _index_faults(database) if database.is_sqlite else [])


async def _index_faults(database: Database) -> list[str]:
    async with database.write() as connection:
        try:
            # 1: compare it with the table that it is of
            await connection.exec_driver_sql(
                "INSERT INTO kb_chunk_fts (kb_chunk_fts, rank) VALUES ('integrity-check', 1)"
            )
        except DBAPIError:
            return [f"the full-text index does not fit the passages: {_STEP}"]
    return []


async def epoch(database: Database) -> int:
    """Return the newest epoch of any tenant's documents."""
    if database.file and not database.file.exists():
        return 0
    async with database.read() as connection:
        return await connection.run_sync(_epoch)


def _epoch(connection: Connection) -> int:
    if not inspect(connection).has_table(KbState.__tablename__):
        return 0
    return (connection.execute(select(func.max(KbState.revision))).scalar() or 0) // EPOCH


async def begin_epoch(database: Database, number: int) -> None:
    """Let all who keep vectors in memory read them anew."""
    later = max(number, await epoch(database) + 1)
    async with database.write() as connection:
        await connection.execute(update(KbState).values(revision=later * EPOCH))
