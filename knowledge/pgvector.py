"""Vector index on PostgreSQL with the extension pgvector: one table with an HNSW index for each model.

The tables are derived from ``kb_embedding`` and can be dropped at any time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import bindparam, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.knowledge.vectors import STORED_DTYPE, InMemoryVectorIndex, VectorIndex
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope

MIN_INDEXED_ROWS = 2_000
"""Number of rows from which an index is created; indexing after loading is ten times as fast."""
_MAX_INDEXED_DIMENSION = 4_000
"""Maximum dimension that pgvector indexes (halfvec); longer vectors are compared one by one."""
_PAGE_ROWS = 2_000
SEARCH_WIDTH = 120
"""Width of the index search; with 120 the five nearest are within half a percent of exact search."""

# JIT compilation takes far longer than this query
_SETTINGS = text(
    f"SELECT set_config('hnsw.ef_search', '{SEARCH_WIDTH}', true), "
    "set_config('hnsw.iterative_scan', 'strict_order', true), set_config('jit', 'off', true)"
)


class PgVectorIndex(VectorIndex):
    """Searches an HNSW index; without the extension it searches in memory."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._in_memory = InMemoryVectorIndex(database)
        self._has_extension: bool | None = None
        self._ready: set[str] = set()
        self._preparing = asyncio.Lock()

    async def find(
        self, model: str, question: NDArray[np.float32], scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Search the index, and search exactly where the scope filter leaves too few results."""
        table = table_name(model, len(question))
        if not await self._prepared(model, table, len(question)):
            return await self._in_memory.find(model, question, scope, limit)
        values = {
            "q": _vector_literal(question),
            "tenant": scope.tenant,
            "visible": list(scope.visible),
            "limit": limit,
        }
        async with self._database.read() as connection:
            await connection.execute(_SETTINGS)
            found = (await connection.execute(search_statement(table, len(question)), values)).all()
            if len(found) < limit:
                exact = search_statement(table, len(question), exact=True)
                found = (await connection.execute(exact, values)).all()
        return {int(number): 1 - float(distance) for number, distance in found}

    async def add(self, connection: AsyncConnection, model: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Copy the vectors to the table of the model."""
        dimension = int(rows[0]["dimension"])
        table = table_name(model, dimension)
        if table in self._ready:
            await connection.execute(_insert_statement(table, dimension), [_table_row(row) for row in rows])

    async def maintain_index(self) -> None:
        """Create missing indexes of large tables and drop tables of models without vectors."""
        async with self._database.write() as connection:
            await _drop_unused_tables(connection, self._ready)
        for table in sorted(self._ready):
            async with self._database.write() as connection:
                await _create_index(connection, table)

    async def prepare(self, model: str, dimension: int) -> bool:
        """Create the table of the model; return False without the extension."""
        return await self._prepared(model, table_name(model, dimension), dimension)

    async def _prepared(self, model: str, table: str, dimension: int) -> bool:
        if await self._exists(table):
            return True
        async with self._preparing:
            if await self._exists(table):
                return True
            if self._has_extension is None:
                self._has_extension = await _has_extension(self._database)
            if self._has_extension:
                async with self._database.write() as connection:
                    await _create_table(connection, model, table, dimension)
                self._ready.add(table)
        return bool(self._has_extension)

    async def _exists(self, table: str) -> bool:
        """Return whether a prepared table still exists; restoring a backup drops it."""
        if table not in self._ready:
            return False
        async with self._database.read() as connection:
            known = await connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": table})
            return bool(known.scalar_one())


def table_name(model: str, dimension: int) -> str:
    """Return the name of the table of a model."""
    return f"kb_hnsw_{hashlib.sha256(model.encode('utf-8', 'replace')).hexdigest()[:12]}_{dimension}"


async def _has_extension(database: Database) -> bool:
    """Return whether the extension is installed; it is created where the role may do that."""
    async with database.engine.connect() as connection:
        offered = text("SELECT installed_version FROM pg_available_extensions WHERE name = 'vector'")
        found = (await connection.execute(offered)).one_or_none()
        if found is None or found[0] is not None:
            return found is not None
        try:
            await connection.execute(text("CREATE EXTENSION IF NOT EXISTS vector"))
            await connection.commit()
        except DBAPIError:
            return False
        return True


async def _create_table(connection: AsyncConnection, model: str, table: str, dimension: int) -> None:
    """Create the table and copy the vectors stored before."""
    await _lock_table(connection, table)
    await connection.execute(
        text(
            f"CREATE TABLE IF NOT EXISTS {table} ("
            "chunk_id bigint PRIMARY KEY REFERENCES kb_chunk (id) ON DELETE CASCADE, tenant_id text NOT NULL, "
            f"scope text NOT NULL, embedding halfvec({dimension}) NOT NULL)"
        )
    )
    await connection.execute(text(f"CREATE INDEX IF NOT EXISTS ix_{table} ON {table} (tenant_id, scope)"))
    missing = text(
        "SELECT e.chunk_id, e.tenant_id, e.scope, e.vector FROM kb_embedding e "
        f"WHERE e.model = :model AND e.dimension = :dimension AND e.chunk_id > :after "
        f"AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.chunk_id = e.chunk_id) ORDER BY e.chunk_id LIMIT {_PAGE_ROWS}"
    )
    after = 0
    whose = {"model": model, "dimension": dimension}
    while page := (await connection.execute(missing, whose | {"after": after})).mappings().all():
        after = page[-1]["chunk_id"]
        await connection.execute(_insert_statement(table, dimension), [_table_row(dict(row)) for row in page])


async def _lock_table(connection: AsyncConnection, table: str) -> None:
    """Block changes to the table by other processes until the transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": table})


async def _create_index(connection: AsyncConnection, table: str) -> None:
    if int(table.rpartition("_")[2]) > _MAX_INDEXED_DIMENSION:
        return
    await _lock_table(connection, table)
    name = f"{table}_nearest"
    await connection.execute(text(f"ANALYZE {table}"))
    known = await connection.execute(text("SELECT to_regclass(:name) IS NOT NULL"), {"name": name})
    count = await connection.execute(text(f"SELECT count(*) FROM {table}"))
    if known.scalar_one() or count.scalar_one() < MIN_INDEXED_ROWS:
        return
    await connection.execute(text("SELECT set_config('maintenance_work_mem', '512MB', true)"))
    await connection.execute(text(f"CREATE INDEX {name} ON {table} USING hnsw (embedding halfvec_cosine_ops)"))


async def _drop_unused_tables(connection: AsyncConnection, ready: set[str]) -> None:
    models = await connection.execute(text("SELECT DISTINCT model, dimension FROM kb_embedding"))
    used = {table_name(*row) for row in models} | ready
    made = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND tablename ~ '^kb_hnsw_'")
    for table in (await connection.execute(made)).scalars().all():
        if table not in used:
            await connection.execute(text(f'DROP TABLE "{table}"'))


def search_statement(table: str, dimension: int, *, exact: bool = False) -> Any:
    """Return the statement that finds the nearest passages, through the index or exactly."""
    distance = f"embedding <=> CAST(:q AS halfvec({dimension}))"
    where = "WHERE tenant_id = :tenant AND scope IN :visible"
    readable = f"SELECT chunk_id, embedding FROM {table} {where}"
    source = f"WITH readable AS MATERIALIZED ({readable}) SELECT chunk_id, {distance} FROM readable" if exact else ""
    plain = f"SELECT chunk_id, {distance} FROM {table} {where}"
    return text(f"{source or plain} ORDER BY {distance} LIMIT :limit").bindparams(bindparam("visible", expanding=True))


def _insert_statement(table: str, dimension: int) -> Any:
    return text(
        f"INSERT INTO {table} (chunk_id, tenant_id, scope, embedding) "
        f"VALUES (:chunk_id, :tenant_id, :scope, CAST(:embedding AS halfvec({dimension}))) "
        "ON CONFLICT (chunk_id) DO UPDATE SET embedding = excluded.embedding"
    )


def _table_row(stored: Mapping[str, Any]) -> dict[str, Any]:
    vector = np.frombuffer(bytes(stored["vector"]), STORED_DTYPE)
    names = ("chunk_id", "tenant_id", "scope")
    return {name: stored[name] for name in names} | {"embedding": _vector_literal(vector)}


def _vector_literal(vector: NDArray[Any]) -> str:
    return "[" + ",".join(map(str, vector.tolist())) + "]"
