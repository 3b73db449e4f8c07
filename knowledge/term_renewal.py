"""The terms of stored passages, and computing them anew after a change of how texts become terms."""

from __future__ import annotations

from functools import cache
from typing import Any

from sqlalchemy import Update, bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.knowledge.base import Chunk
from qwendesk.knowledge.chunking import embedded_text
from qwendesk.memory.database import Database
from qwendesk.memory.tables.conversations import Base
from qwendesk.memory.tables.documents import KbChunk, KbDocument
from qwendesk.search_terms import VERSION, terms

_UNINDEX = text("INSERT INTO kb_chunk_fts (kb_chunk_fts, rowid, terms) VALUES ('delete', :number, :old)")
_INDEX = text("INSERT INTO kb_chunk_fts (rowid, terms) VALUES (:number, :made)")


def indexed_terms(chunk: Chunk, title: str) -> str:
    """Return what the full-text index holds of a passage."""
    return " ".join(terms(embedded_text(chunk, title)))


async def renew_terms(database: Database, tenant: str) -> int:
    """Compute the terms of documents anew whose terms are of another version; return how many documents they are.

    A document is done whole, in one transaction: after an interruption the rest is done by the next call.
    """
    old = select(KbDocument.id).where(KbDocument.tenant_id == tenant, KbDocument.terms_version != VERSION)
    async with database.read() as connection:
        ids = (await connection.execute(old)).scalars().all()
    for id_ in ids:
        await database.shield(_renew(database, tenant, id_))
    return len(ids)


async def _renew(database: Database, tenant: str, id_: str) -> None:
    of: tuple[Any, ...] = (KbChunk.id, KbChunk.text, KbChunk.headings, KbChunk.place, KbDocument.title, KbChunk.terms)
    passages = select(*of).join(KbDocument).where(KbDocument.id == id_, KbDocument.tenant_id == tenant)
    async with database.write() as connection:
        rows = (await connection.execute(passages)).all()
        made = [
            {"number": row[0], "made": indexed_terms(Chunk(row[1], row[2], row[3]), row[4]), "old": row[5]}
            for row in rows
        ]
        if made:
            await _replace(connection, made)
        await connection.execute(update(KbDocument).where(KbDocument.id == id_).values(terms_version=VERSION))


async def _replace(connection: AsyncConnection, made: list[dict[str, Any]]) -> None:
    """Set the terms of passages; PostgreSQL's index follows its table, FTS5's is told."""
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        await connection.execute(_UNINDEX, made)
    await connection.execute(_set_terms(), [{name: row[name] for name in ("number", "made")} for row in made])
    if is_sqlite:
        await connection.execute(_INDEX, made)


@cache
def _set_terms() -> Update:
    # the table: by the class it would be an update by primary key
    table = Base.metadata.tables[KbChunk.__tablename__]
    return update(table).where(table.c.id == bindparam("number")).values(terms=bindparam("made"))
