"""The knowledge base: documents go in, passages with their places come out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache

from sqlalchemy import Select, select

from qwendesk.errors import ConfigError, EngineError
from qwendesk.knowledge.base import EmbeddingModel, IngestResult, Passage, StoredDocument
from qwendesk.knowledge.document_repository import DocumentRepository
from qwendesk.knowledge.fulltext import FullTextIndex, PostgresFullTextIndex, SqliteFullTextIndex
from qwendesk.knowledge.ingestion import (
    EMBED_BATCH_SIZE,
    MAX_FILE_BYTES,
    DocumentIngestion,
    IngestOptions,
    ProgressCallback,
    SourceFile,
    expand_source,
)
from qwendesk.knowledge.pgvector import PgVectorIndex
from qwendesk.knowledge.readers.converter import Converter, ReadingLimits
from qwendesk.knowledge.search import HybridSearch, SearchMode
from qwendesk.knowledge.term_renewal import renew_terms
from qwendesk.knowledge.vectors import InMemoryVectorIndex, VectorIndex
from qwendesk.memory.conversations.statements import is_conversation, is_person
from qwendesk.memory.database import Database
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import EVERYBODY, DocumentScope
from qwendesk.memory.tables.conversations import Conversation, PersonIdentity
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.safe_fetch import Address, Fetcher, mime_parts

_MAINTENANCE_THRESHOLD = 200
"""New passages after which the database's statistics and indexes are looked after."""
_DEFAULT_LIMITS = ReadingLimits()


@dataclass(frozen=True, slots=True)
class KnowledgeState:
    """What a tenant's knowledge base holds."""

    documents: int
    passages: int
    embedded: int
    """Passages that have a vector of the current model."""
    old_terms: int
    """Documents whose words were indexed by an older version, which ``reindex`` does anew."""
    model: str | None
    """The current embedding model; None: search is by words alone."""


def _ignore_progress(done: int, total: int) -> None:
    """Tell nobody."""


class KnowledgeBase:
    """A tenant's documents, searched by words and by meaning.

    Args:
        database: where it is kept; it has to be up to date (``Memory.open`` sees to that).
        tenant: whose documents they are; those of others are out of reach.
        embedder: makes vectors; None: words alone are searched.
        allowed: tells which addresses pages may be fetched from; by default the public ones.
        limits: how many files are read at once, and for how long.
    """

    def __init__(
        self,
        database: Database,
        embedder: EmbeddingModel | None = None,
        *,
        tenant: str = EVERYBODY.tenant,
        allowed: Callable[[Address], bool] | None = None,
        limits: ReadingLimits = _DEFAULT_LIMITS,
    ) -> None:
        self.everybody = DocumentScope(tenant)
        """Documents for everybody of the tenant."""
        self._database = database
        self._embedder = embedder
        self._converter = Converter(limits.seconds, processes=limits.processes)
        fetcher = Fetcher(most=MAX_FILE_BYTES, allowed=allowed)
        sqlite = database.is_sqlite
        self._nearest: VectorIndex = InMemoryVectorIndex(database) if sqlite else PgVectorIndex(database)
        self._full_text: FullTextIndex = SqliteFullTextIndex() if sqlite else PostgresFullTextIndex()
        self._shelf = DocumentRepository(database, self._nearest)
        self._search = HybridSearch(database, self._shelf, self._full_text, self._nearest, embedder)
        self._intake = DocumentIngestion(self._shelf, embedder, self._converter, fetcher)
        self._new = 0

    @property
    def model(self) -> str | None:
        """The name of the embedding model."""
        return self._embedder.name if self._embedder else None

    async def aclose(self) -> None:
        """End the worker that reads files."""
        await self._converter.aclose()

    async def end_readers(self, is_meant: Callable[[str], bool]) -> None:
        """End the workers that have read files of the owners that are meant."""
        await self._converter.end_readers(is_meant)

    async def add(
        self,
        source: str,
        scope: DocumentScope | None = None,
        step: ProgressCallback = _ignore_progress,
        *,
        anew: bool = False,
        hidden: bool = False,
    ) -> IngestResult:
        """Take in a file or a web page.

        Args:
            source: a path, or an address that begins with ``http://`` or ``https://``.
            scope: whom it is for; None: everybody of the tenant.
            step: told how many of its passages are done.
            anew: take it in also where it has not changed.
            hidden: read hidden sheets, rows and columns of spreadsheets too.

        Returns:
            What became of it; what cannot be read is ``refused`` with the reason, and nothing of it is stored.
        """
        outcome = await self._intake.add(source, self._own(scope), step, IngestOptions(anew=anew, hidden=hidden))
        self._new += outcome.chunks
        return outcome

    async def add_bytes(
        self,
        name: str,
        data: bytes,
        scope: DocumentScope | None = None,
        *,
        mime: str = "",
        at_once: int | None = None,
        owner: str = "",
        seconds: float | None = None,
    ) -> IngestResult:
        """Take in a file that somebody sent.

        Args:
            name: the file's name.
            data: its bytes.
            scope: whom it is for; None: everybody of the tenant.
            mime: its kind, as the sender says, also with its encoding (``text/plain; charset=koi8-r``).
            at_once: passages up to which it gets its vectors now; of a longer one ``reindex`` makes them.
            owner: who sent it: an owner has one file read at a time.
            seconds: how long reading it may take; None: as long as any file.

        Raises:
            InputError: it cannot be read.
        """
        kind, encoding = mime_parts(mime)
        raw = SourceFile(sent_file_uri(name), name, data, kind, encoding)
        handling = IngestOptions(at_once=at_once, owner=owner, seconds=seconds)
        outcome = await self._intake.add_raw(raw, self._own(scope), _ignore_progress, handling)
        self._new += outcome.chunks
        return outcome

    async def maintain_indexes(self) -> None:
        """Update statistics and build missing indexes, if many passages were added since the last time."""
        if self._new < _MAINTENANCE_THRESHOLD:
            return
        self._new = 0
        await self._database.shield(self._maintain_indexes())

    async def search(
        self, question: str, scope: DocumentScope | None = None, *, limit: int = 5, mode: SearchMode = "hybrid"
    ) -> list[Passage]:
        """Return the passages that answer a question best, of those that the scope may read.

        Raises:
            EngineError: ``mode`` is "vectors", and the embedding model does not answer.
        """
        return await self._search.find(question, self._own(scope), limit, mode)

    async def why_nothing(self, scope: DocumentScope | None = None) -> str:
        """Return why a search has found nothing, and what to do, in a line for who looks after the documents."""
        if not await self.has_documents(scope):
            return await self._why_no_documents()
        state = await self.state()
        if state.old_terms:
            return f"{state.old_terms:,} of the documents indexed by an older version: run 'qwendesk kb reindex'."
        if self._embedder is None:
            return "Search was by words alone, as there is no embedding model: 'qwendesk doctor' says how to get one."
        if state.embedded < state.passages:
            return (
                f"{state.passages - state.embedded:,} of {state.passages:,} passages have no vector of {state.model} "
                "and were searched by words alone: run 'qwendesk kb reindex'."
            )
        try:
            await self._embedder.query("?")
        except EngineError as error:
            return f"Search was by words alone, as the embedding model does not answer: {error}"
        return "No passage is near enough; ask in other words, or --mode words looks for the words as they stand."

    async def _why_no_documents(self) -> str:
        if await self.has_documents(of_all=True):
            return "All documents are for certain people or conversations: name them by --person or --conversation."
        return "There are no documents yet: 'qwendesk kb add PATH' takes some in."

    async def beginning(self, uris: Sequence[str], scope: DocumentScope | None = None, limit: int = 5) -> list[Passage]:
        """Return the first passages of documents that the scope may read."""
        return await self._shelf.beginning(uris, self._own(scope), limit)

    async def documents(self) -> list[StoredDocument]:
        """Return all documents of the tenant."""
        return await self._shelf.documents(self.everybody.tenant, self.model)

    async def has_documents(self, scope: DocumentScope | None = None, *, of_all: bool = False) -> bool:
        """Tell whether there is anything that the scope may read; with ``of_all``, that anybody of the tenant may."""
        return await self._shelf.any_for(self._own(scope), of_all=of_all)

    async def state(self) -> KnowledgeState:
        """Return how much there is."""
        return KnowledgeState(*await self._shelf.counts(self.everybody.tenant, self.model), self.model)

    async def remove(self, ids: Sequence[str]) -> int:
        """Delete documents by their ids, with passages, vectors and index entries; return how many there were."""
        return await self._shelf.remove(self.everybody.tenant, ids)

    async def reindex(
        self, step: ProgressCallback = _ignore_progress, *, everything: bool = False, scope: DocumentScope | None = None
    ) -> int:
        """Give every passage a vector of the current model and return how many were made.

        Without a scope, terms of an older version are computed anew too.

        Args:
            step: told how many passages are done, of those that need it.
            everything: make also the vectors anew that are there.
            scope: only for its own passages; None: for all of the tenant.

        Raises:
            EngineError: the embedding model does not answer; what is done stays done.
        """
        tenant = self.everybody.tenant
        if scope is None:
            await renew_terms(self._database, tenant)
        if self._embedder is None:
            return 0
        if everything:
            await self._shelf.forget_vectors(tenant)
        state = await self.state()
        done, total = 0, state.passages - state.embedded
        while rows := await self._shelf.without_vector(tenant, self._embedder.name, EMBED_BATCH_SIZE, scope=scope):
            vectors = await self._embedder.documents([text for _, _, text in rows])
            await self._shelf.add_vectors(self._embedder.name, tenant, [row[:2] for row in rows], vectors)
            done += len(rows)
            step(min(done, total), total)
        self._new += done
        await self.maintain_indexes()
        return done

    async def lacks_vectors(self, scope: DocumentScope) -> bool:
        """Tell whether a passage of a scope's own has no vector of the current model."""
        if self._embedder is None:
            return False
        return bool(await self._shelf.without_vector(self.everybody.tenant, self._embedder.name, 1, scope=scope))

    async def read_anew(self) -> int:
        """Take in again what was read or cut by an older version, where its source is still there; return how many."""
        count = 0
        for document, scope in await self._shelf.outdated(self.everybody.tenant):
            outcome = await self.add(document, scope)
            count += outcome.status == "updated"
        return count

    async def scope_of(self, channel: str, account: str, person: str, conversation: str) -> DocumentScope:
        """Return the scope of somebody who writes, by the names the channel has for person and conversation."""
        values = {"channel": channel, "account": account, "person": person, "key": conversation}
        async with TenantDatabase(self._database, self.everybody.tenant).read() as connection:
            found = (await connection.execute(_person(), values)).scalar_one_or_none()
            talk = (await connection.execute(_conversation(), values)).scalar_one_or_none()
        return replace(self.everybody, person=found, conversation=talk)

    def _own(self, scope: DocumentScope | None) -> DocumentScope:
        """Return the scope, or that of everybody; refuse one of another tenant."""
        if scope and scope.tenant != self.everybody.tenant:
            raise ConfigError(f"The scope is of {scope.tenant!r} and the documents are of {self.everybody.tenant!r}.")
        return scope or self.everybody

    async def _maintain_indexes(self) -> None:
        async with self._database.write() as connection:
            await self._full_text.update_statistics(connection)
        await self._nearest.maintain_index()


def sent_file_uri(name: str) -> str:
    """Return the address of a document that somebody sent."""
    return f"sent:{name}"


@asynccontextmanager
async def open_knowledge(
    url: str,
    embedder: EmbeddingModel | None = None,
    *,
    tenant: str = EVERYBODY.tenant,
    allowed: Callable[[Address], bool] | None = None,
    busy_timeout: float = 5.0,
    limits: ReadingLimits = _DEFAULT_LIMITS,
) -> AsyncIterator[KnowledgeBase]:
    """Open a tenant's knowledge base by itself, without a desk."""
    memory = Memory(url, busy_timeout=busy_timeout, tenant=tenant)
    await memory.open()
    try:
        knowledge = KnowledgeBase(memory.database, embedder, tenant=memory.tenant, allowed=allowed, limits=limits)
        try:
            yield knowledge
        finally:
            await knowledge.aclose()
    finally:
        await memory.aclose()


async def expand_sources(sources: Iterable[str]) -> list[str]:
    """Return the files and addresses that are meant: the files of folders, anything else as it is."""

    def all_of() -> list[str]:
        return [each for source in sources for each in expand_source(source)]

    return await asyncio.to_thread(all_of)


@cache
def _person() -> Select[str]:
    return select(PersonIdentity.person_id).where(*is_person())


@cache
def _conversation() -> Select[str]:
    return select(Conversation.id).where(*is_conversation())
