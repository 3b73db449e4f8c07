"""Full-text search over terms: FTS5 on SQLite, a ``tsvector`` under a GIN index on PostgreSQL.

Common words say little and cost most. So a question's terms are taken from the rarest on, until the passages that
hold them are as many as can be ranked in a few milliseconds.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from sqlalchemy import TextClause, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from qwendesk.memory.records import DocumentScope
from qwendesk.search_terms import asked_terms

MAX_RANKED_PASSAGES = 4_000
"""Passages that may be looked at for one question."""
_MAX_QUESTION_TERMS = 200
_COMMON_TERM_PASSAGES = 1_000
_FREQUENCY_TTL_SECONDS = 300.0
"""Seconds for which the frequencies of terms are trusted."""


class FullTextIndex(ABC):
    """Finds passages by their words."""

    _BUDGET: float = MAX_RANKED_PASSAGES

    async def find(
        self, connection: AsyncConnection, question: str, scope: DocumentScope, limit: int
    ) -> dict[int, float]:
        """Return the best passages that the scope may read, best first, and how much of the question each covers.

        What a passage covers is the share of the question's terms that it holds, the rare ones weighing more: next to
        nothing where the question is in another language, and all where it asks for a part number.
        """
        asked = list(dict.fromkeys(asked_terms(question)))[:_MAX_QUESTION_TERMS]
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

    async def update_statistics(self, connection: AsyncConnection) -> None:  # noqa: B027 - FTS5 counts by itself
        """Bring statistics up to date after many documents have come."""

    @abstractmethod
    async def _frequencies(self, connection: AsyncConnection, asked: Sequence[str]) -> dict[str, float]:
        """Return about how many passages hold each of the terms; those that none holds may be left out."""

    @abstractmethod
    async def _total(self, connection: AsyncConnection) -> float:
        """Return about how many passages there are."""

    @abstractmethod
    async def _ranked(
        self, connection: AsyncConnection, chosen: dict[str, float], scope: DocumentScope, limit: int
    ) -> list[int]: ...


_TERMS = text("SELECT id, terms FROM kb_chunk WHERE id IN :numbers").bindparams(bindparam("numbers", expanding=True))


def select_terms(frequencies: dict[str, float], budget: float = MAX_RANKED_PASSAGES) -> dict[str, float]:
    """Return the rarest terms whose passages together are within the budget, at least one."""
    chosen: dict[str, float] = {}
    spent = 0.0
    for term, frequency in sorted(frequencies.items(), key=lambda item: item[1]):
        spent += frequency
        if chosen and spent > budget:
            break
        chosen[term] = frequency
    return chosen


class SqliteFullTextIndex(FullTextIndex):
    """Full text by FTS5, ranked by BM25."""

    _COUNT = text("SELECT term, doc FROM kb_chunk_vocab WHERE term IN :terms").bindparams(
        bindparam("terms", expanding=True)
    )
    # Whose a passage is stands in its row. Rows are looked up for the best matches alone, as long as that is enough.
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
        # counting a term costs as much as there is of it, so the common ones are remembered
        self._common |= {term: count for term, count in counted.items() if count > _COMMON_TERM_PASSAGES}
        return counted | {term: self._common[term] for term in asked if term in self._common}

    async def _total(self, connection: AsyncConnection) -> float:
        # counting rows means reading them all; numbers are given one after another
        return float((await connection.execute(text("SELECT max(id) FROM kb_chunk"))).scalar() or 1)

    async def _ranked(
        self, connection: AsyncConnection, chosen: dict[str, float], scope: DocumentScope, limit: int
    ) -> list[int]:
        # letters and digits alone, and quoted: nothing of a question is read as FTS5's own language
        values = {"match": " OR ".join(f'"{term}"' for term in chosen), "tenant": scope.tenant, "limit": limit}
        values |= {"visible": list(scope.visible)}
        for most in (limit * 4, -1):
            found = (await connection.execute(self._FIND, values | {"most": most})).scalars().all()
            if len(found) >= limit or sum(chosen.values()) <= most:
                break
        return [int(number) for number in found]


class PostgresFullTextIndex(FullTextIndex):
    """Full text by a GIN index, ranked by how rare the terms are that a passage holds."""

    _STATISTICS = text(
        "SELECT CAST(CAST(s.most_common_elems AS text) AS text[]), s.most_common_elem_freqs, "
        "(SELECT reltuples FROM pg_class WHERE oid = 'kb_chunk'::regclass) FROM pg_stats s "
        "WHERE s.schemaname = current_schema() AND s.tablename = 'kb_chunk' AND s.attname = 'tsv'"
    )

    _BUDGET = MAX_RANKED_PASSAGES / 2
    """Its ranking looks at each passage once a term."""

    def __init__(self) -> None:
        self._common: dict[str, float] = {}
        self._rare = 1.0
        self._rows = 1.0
        self._read_at = -math.inf

    async def update_statistics(self, connection: AsyncConnection) -> None:
        """Let PostgreSQL count anew."""
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
            # behind the elements' own shares stand the smallest and the greatest of them
            shares = row[1][: len(row[0])]
            self._common = {term: share * row[2] for term, share in zip(row[0], shares, strict=True)}
            self._rare = min(shares) * row[2] / 2

    async def _total(self, connection: AsyncConnection) -> float:
        return self._rows

    async def _ranked(
        self, connection: AsyncConnection, chosen: dict[str, float], scope: DocumentScope, limit: int
    ) -> list[int]:
        # compiling a query of milliseconds takes far longer than running it, and so does matching every passage
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
