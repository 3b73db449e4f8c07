"""Full-text index of passages: FTS5 on SQLite, a ``tsvector`` with a GIN index on PostgreSQL.

A search uses the rarest terms of a question first and stops adding terms once the matching passages are as many as
can be ranked in a few milliseconds; common terms cost most and distinguish least.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import TextClause, Update, bindparam, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.knowledge.base import Chunk
from qwendesk.knowledge.chunking import embedded_text
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.memory.tables.conversations import Base
from qwendesk.memory.tables.documents import KbChunk, KbDocument
from qwendesk.search_terms import TERMS_VERSION, index_terms, query_terms

MAX_RANKED_PASSAGES = 4_000
"""Maximum number of passages that are ranked for one question."""
_MAX_QUESTION_TERMS = 200
_COMMON_TERM_PASSAGES = 1_000
_FREQUENCY_TTL_SECONDS = 300.0
"""Seconds after which cached term frequencies are read again."""
_TERMS = text("SELECT id, terms FROM kb_chunk WHERE id IN :numbers").bindparams(bindparam("numbers", expanding=True))
_FTS_DELETE = text("INSERT INTO kb_chunk_fts (kb_chunk_fts, rowid, terms) VALUES ('delete', :number, :old)")
_FTS_INSERT = text("INSERT INTO kb_chunk_fts (rowid, terms) VALUES (:number, :new_terms)")


class FullTextIndex(ABC):
    """Finds passages by their terms."""

    _BUDGET: float = MAX_RANKED_PASSAGES

    async def find(
        self, connection: AsyncConnection, question: str, scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Return the best passages that the scope may read, best first, each with its coverage of the question.

        Coverage is the share of the question's terms that a passage contains, weighted by their rarity: near 0 where
        the question is in another language, 1 where it asks for a part number that the passage contains.
        """
        asked = list(dict.fromkeys(query_terms(question)))[:_MAX_QUESTION_TERMS]
        known = await self._frequencies(connection, asked) if asked else {}
        chosen = select_terms(known, self._BUDGET)
        found = await self._ranked(connection, chosen, scope, limit) if chosen else []
        if not found:
            return {}
        total = await self._total(connection)
        weights = {term: math.log(1 + total / max(known.get(term, 0.0), 0.5)) for term in asked}
        held = {row[0]: set(row[1].split()) for row in await connection.execute(_TERMS, {"numbers": found})}
        whole = sum(weights.values())
        return {
            number: sum(weight for term, weight in weights.items() if term in held.get(number, ())) / whole
            for number in found
        }

    async def update_statistics(self, connection: AsyncConnection) -> None:  # noqa: B027 - FTS5 keeps its own statistics
        """Update statistics after many documents were added."""

    @abstractmethod
    async def _frequencies(self, connection: AsyncConnection, asked: Sequence[str]) -> dict[str, float]:
        """Return the approximate number of passages with each term; terms without passages may be missing."""

    @abstractmethod
    async def _total(self, connection: AsyncConnection) -> float:
        """Return the approximate number of passages."""

    @abstractmethod
    async def _ranked(
        self, connection: AsyncConnection, chosen: dict[str, float], scope: DocumentScope, limit: int
    ) -> list[int]: ...


def select_terms(frequencies: dict[str, float], budget: float = MAX_RANKED_PASSAGES) -> dict[str, float]:
    """Return the rarest terms whose passages together stay within the budget, at least one term."""
    chosen: dict[str, float] = {}
    spent = 0.0
    for term, frequency in sorted(frequencies.items(), key=lambda item: item[1]):
        spent += frequency
        if chosen and spent > budget:
            break
        chosen[term] = frequency
    return chosen


class SqliteFullTextIndex(FullTextIndex):
    """Full-text index by FTS5, ranked by BM25."""

    _COUNT = text("SELECT term, doc FROM kb_chunk_vocab WHERE term IN :terms").bindparams(
        bindparam("terms", expanding=True)
    )
    # The scope of a passage is in its row; rows are read for the best matches only, as long as those are enough.
    _FIND = text(
        "SELECT c.id FROM (SELECT rowid, rank FROM kb_chunk_fts WHERE kb_chunk_fts MATCH :match "
        "ORDER BY rank LIMIT :most) f CROSS JOIN kb_chunk c ON c.id = f.rowid "
        "WHERE c.tenant_id = :tenant AND c.scope IN :visible ORDER BY f.rank, c.id LIMIT :limit"
    ).bindparams(bindparam("visible", expanding=True))

    def __init__(self) -> None:
        self._common: dict[str, float] = {}
        self._counted_at = -math.inf

    async def _frequencies(self, connection: AsyncConnection, asked: Sequence[str]) -> dict[str, float]:
        if time.monotonic() - self._counted_at > _FREQUENCY_TTL_SECONDS:
            self._common, self._counted_at = {}, time.monotonic()
        unknown = [term for term in asked if term not in self._common]
        found = await connection.execute(self._COUNT, {"terms": unknown})
        counted = {str(term): float(count) for term, count in found}
        # counting a term takes time in proportion to its frequency, so common terms are cached
        self._common |= {term: count for term, count in counted.items() if count > _COMMON_TERM_PASSAGES}
        return counted | {term: self._common[term] for term in asked if term in self._common}

    async def _total(self, connection: AsyncConnection) -> float:
        # count(*) would read all rows; ids are consecutive
        return float((await connection.execute(text("SELECT max(id) FROM kb_chunk"))).scalar() or 1)

    async def _ranked(
        self, connection: AsyncConnection, chosen: dict[str, float], scope: DocumentScope, limit: int
    ) -> list[int]:
        # terms are letters and digits only, and quoted, so that no part of a question is parsed as FTS5 syntax
        values = {"match": " OR ".join(f'"{term}"' for term in chosen), "tenant": scope.tenant, "limit": limit}
        values |= {"visible": list(scope.visible)}
        for most in (limit * 4, -1):
            found = (await connection.execute(self._FIND, values | {"most": most})).scalars().all()
            if len(found) >= limit or sum(chosen.values()) <= most:
                break
        return [int(number) for number in found]


class PostgresFullTextIndex(FullTextIndex):
    """Full-text index by GIN, ranked by the rarity of the matching terms."""

    _STATISTICS = text(
        "SELECT CAST(CAST(s.most_common_elems AS text) AS text[]), s.most_common_elem_freqs, "
        "(SELECT reltuples FROM pg_class WHERE oid = 'kb_chunk'::regclass) FROM pg_stats s "
        "WHERE s.schemaname = current_schema() AND s.tablename = 'kb_chunk' AND s.attname = 'tsv'"
    )

    _BUDGET = MAX_RANKED_PASSAGES / 2
    """Lower than on SQLite, because the ranking reads each passage once for every term."""

    def __init__(self) -> None:
        self._common: dict[str, float] = {}
        self._rare = 1.0
        self._rows = 1.0
        self._read_at = -math.inf

    async def update_statistics(self, connection: AsyncConnection) -> None:
        """Run ANALYZE and drop the cached statistics."""
        await connection.execute(text("ANALYZE kb_chunk"))
        self._read_at = -math.inf

    async def _frequencies(self, connection: AsyncConnection, asked: Sequence[str]) -> dict[str, float]:
        if time.monotonic() - self._read_at > _FREQUENCY_TTL_SECONDS:
            await self._read(connection)
        return {term: self._common.get(term, self._rare) for term in asked}

    async def _read(self, connection: AsyncConnection) -> None:
        row = (await connection.execute(self._STATISTICS)).one_or_none()
        self._read_at = time.monotonic()
        self._common, self._rare = {}, 1.0
        self._rows = max(float(row[2]), 1.0) if row else 1.0
        if row and row[0] and row[2] > 0:
            # the frequencies of the elements are followed by the minimum and the maximum
            shares = row[1][: len(row[0])]
            self._common = {term: share * row[2] for term, share in zip(row[0], shares, strict=True)}
            self._rare = min(shares) * row[2] / 2

    async def _total(self, connection: AsyncConnection) -> float:
        return self._rows

    async def _ranked(
        self, connection: AsyncConnection, chosen: dict[str, float], scope: DocumentScope, limit: int
    ) -> list[int]:
        # JIT compilation and sequential scans both take far longer than this query
        settings = "SELECT set_config('jit', 'off', true), set_config('enable_seqscan', 'off', true)"
        await connection.execute(text(settings))
        values: dict[str, object] = {"tenant": scope.tenant, "visible": list(scope.visible), "limit": limit}
        values["any"] = " | ".join(f"'{term}'" for term in chosen)
        for number, (term, frequency) in enumerate(chosen.items()):
            values[f"t{number}"] = f"'{term}'"
            values[f"w{number}"] = math.log(2 + self._rows / (1 + frequency))
        return [int(row[0]) for row in await connection.execute(_postgres_find(len(chosen)), values)]


def _postgres_find(count: int) -> TextClause:
    weights = " + ".join(
        f"CAST(:w{n} AS float8) * CAST(CAST(c.tsv @@ CAST(:t{n} AS tsquery) AS int) AS float8)" for n in range(count)
    )
    return text(
        "SELECT c.id FROM kb_chunk c WHERE c.tsv @@ CAST(:any AS tsquery) AND c.tenant_id = :tenant "
        f"AND c.scope IN :visible ORDER BY {weights} DESC, length(c.tsv), c.id LIMIT :limit"
    ).bindparams(bindparam("visible", expanding=True))


def indexed_terms(chunk: Chunk, title: str) -> str:
    """Return the terms of a passage as the full-text index stores them."""
    return " ".join(index_terms(embedded_text(chunk, title)))


async def renew_terms(database: Database, tenant: str) -> int:
    """Renew the terms of documents indexed by another version; return the number of documents.

    Each document is renewed in one transaction, so that a call after an interruption continues with the rest.
    """
    outdated = select(KbDocument.id).where(KbDocument.tenant_id == tenant, KbDocument.terms_version != TERMS_VERSION)
    async with database.read() as connection:
        ids = (await connection.execute(outdated)).scalars().all()
    for id_ in ids:
        await database.shield(_renew_document(database, tenant, id_))
    return len(ids)


async def _renew_document(database: Database, tenant: str, id_: str) -> None:
    of_chunk: tuple[Any, ...] = (KbChunk.id, KbChunk.text, KbChunk.headings, KbChunk.place)
    passages = (
        select(*of_chunk, KbDocument.title, KbChunk.terms)
        .join(KbDocument)
        .where(KbDocument.id == id_, KbDocument.tenant_id == tenant)
    )
    async with database.write() as connection:
        rows = (await connection.execute(passages)).all()
        renewed = [
            {"number": row[0], "new_terms": indexed_terms(Chunk(row[1], row[2], row[3]), row[4]), "old": row[5]}
            for row in rows
        ]
        if renewed:
            await _replace_terms(connection, renewed)
        await connection.execute(update(KbDocument).where(KbDocument.id == id_).values(terms_version=TERMS_VERSION))


async def _replace_terms(connection: AsyncConnection, renewed: list[dict[str, Any]]) -> None:
    """Set the terms of passages; FTS5 needs its index updated explicitly, PostgreSQL does not."""
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        await connection.execute(_FTS_DELETE, renewed)
    await connection.execute(
        _set_terms_statement(), [{name: row[name] for name in ("number", "new_terms")} for row in renewed]
    )
    if is_sqlite:
        await connection.execute(_FTS_INSERT, renewed)


@cache
def _set_terms_statement() -> Update:
    # an update of the mapped class would be a bulk update by primary key
    table = Base.metadata.tables[KbChunk.__tablename__]
    return update(table).where(table.c.id == bindparam("number")).values(terms=bindparam("new_terms"))
