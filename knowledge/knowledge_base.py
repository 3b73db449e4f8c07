"""The knowledge base: add documents, search for passages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

from sqlalchemy import select

from qwendesk.errors import ConfigError, EngineError
from qwendesk.knowledge.answerability import Verdict
from qwendesk.knowledge.base import EmbeddingModel, IngestResult, KnowledgeState, Passage, StoredDocument
from qwendesk.knowledge.document_repository import DocumentRepository
from qwendesk.knowledge.fulltext import FullTextIndex, PostgresFullTextIndex, SqliteFullTextIndex, renew_terms
from qwendesk.knowledge.ingestion import (
    EMBED_BATCH_SIZE,
    MAX_FILE_BYTES,
    DocumentIngestion,
    IngestOptions,
    ProgressCallback,
    SourceFile,
)
from qwendesk.knowledge.pgvector import PgVectorIndex
from qwendesk.knowledge.readers.converter import Converter, ReadingLimits
from qwendesk.knowledge.search import HybridSearch, SearchMode
from qwendesk.knowledge.vectors import InMemoryVectorIndex, VectorIndex
from qwendesk.memory.conversations.history import is_conversation
from qwendesk.memory.database import Database
from qwendesk.memory.memory import Memory
from qwendesk.memory.people.repository import is_person
from qwendesk.memory.records import EVERYBODY, DocumentScope
from qwendesk.memory.tables.conversations import Conversation, PersonIdentity
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.safe_fetch import Address, Fetcher, mime_parts

_MAINTENANCE_THRESHOLD = 200
"""Number of new passages after which statistics and indexes are updated."""
_DEFAULT_LIMITS = ReadingLimits()


def _ignore_progress(done: int, total: int) -> None:
    """Ignore progress."""


class KnowledgeBase:
    """A tenant's documents, searched by full text and by vectors.

    Args:
        database: the database; its schema has to be current (``Memory.open`` upgrades it).
        tenant: owner of the documents; documents of other tenants cannot be reached.
        embedder: the embedding model; None: full text only.
        allowed: decides which addresses pages may be fetched from; default: public ones.
        limits: number of files read at the same time, and time limits.
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
        """Scope of documents for everybody of the tenant."""
        self._database = database
        self._embedder = embedder
        self._converter = Converter(limits.seconds, processes=limits.processes)
        fetcher = Fetcher(most=MAX_FILE_BYTES, allowed=allowed)
        sqlite = database.is_sqlite
        self._vector_index: VectorIndex = InMemoryVectorIndex(database) if sqlite else PgVectorIndex(database)
        self._full_text: FullTextIndex = SqliteFullTextIndex() if sqlite else PostgresFullTextIndex()
        self.repository = DocumentRepository(database, self._vector_index)
        self._search = HybridSearch(database, self.repository, self._full_text, self._vector_index, embedder)
        self._ingestion = DocumentIngestion(self.repository, embedder, self._converter, fetcher)
        self._added_passages = 0

    @property
    def model(self) -> str | None:
        """Name of the embedding model; None: there is none."""
        return self._embedder.name if self._embedder else None

    async def aclose(self) -> None:
        """Stop the worker processes that read files."""
        await self._converter.aclose()

    async def end_readers(self, is_selected: Callable[[str], bool]) -> None:
        """Stop the worker processes that have read files of the selected owners."""
        await self._converter.end_readers(is_selected)

    async def add(
        self,
        source: str,
        scope: DocumentScope | None = None,
        progress: ProgressCallback = _ignore_progress,
        *,
        force: bool = False,
        include_hidden: bool = False,
    ) -> IngestResult:
        """Add a file or a web page.

        Args:
            source: a path, or a URL that begins with ``http://`` or ``https://``.
            scope: who may read it; None: everybody of the tenant.
            progress: receives the number of finished passages.
            force: add it even if it has not changed.
            include_hidden: read hidden sheets, rows and columns of spreadsheets too.

        Returns:
            The result; a file that cannot be read is ``refused`` with the reason, and nothing is stored.
        """
        result = await self._ingestion.add(
            source, self._checked(scope), progress, IngestOptions(force=force, include_hidden=include_hidden)
        )
        self._added_passages += result.chunks
        return result

    async def add_bytes(
        self,
        name: str,
        data: bytes,
        scope: DocumentScope | None = None,
        *,
        mime: str = "",
        max_embedded_passages: int | None = None,
        owner: str = "",
        timeout: float | None = None,
        uri: str = "",
    ) -> IngestResult:
        """Add a file that was sent with a message, or comes from another program.

        Args:
            name: name of the file.
            data: bytes of the file.
            scope: who may read it; None: everybody of the tenant.
            mime: type declared by the sender, with an optional encoding (``text/plain; charset=koi8-r``).
            max_embedded_passages: a longer document gets its vectors from ``reindex``; None: no limit.
            owner: the sender; one file of an owner is read at a time.
            timeout: seconds that reading may take; None: the limit of the knowledge base.
            uri: identifies the document, such as its public address; empty: the name does.

        Raises:
            InputError: the file cannot be read; the text says why.
        """
        kind, encoding = mime_parts(mime)
        raw = SourceFile(uri or sent_file_uri(name), name, data, kind, encoding)
        options = IngestOptions(max_embedded_passages=max_embedded_passages, owner=owner, timeout=timeout)
        result = await self._ingestion.add_raw(raw, self._checked(scope), _ignore_progress, options)
        self._added_passages += result.chunks
        return result

    async def maintain_indexes(self, *, force: bool = False) -> None:
        """Update statistics and create missing indexes, with ``force`` or after many passages were added."""
        if not force and self._added_passages < _MAINTENANCE_THRESHOLD:
            return
        self._added_passages = 0
        await self._database.shield(self._maintain_indexes())

    async def search(
        self, question: str, scope: DocumentScope | None = None, *, limit: int = 5, mode: SearchMode = "hybrid"
    ) -> list[Passage]:
        """Return the passages that answer a question best, among those that the scope may read.

        Raises:
            EngineError: ``mode`` is "vectors" and the embedding model does not answer.
        """
        return await self._search.find(question, self._checked(scope), limit, mode)

    async def judge(
        self, question: str, scope: DocumentScope | None = None, language: str | None = None
    ) -> Verdict | None:
        """Decide whether the documents that the scope may read answer a question; None: there are no documents."""
        if not await self.has_documents(scope):
            return None
        return await self._search.judge(question, self._checked(scope), language)

    async def quotes(self, question: str, passages: Sequence[Passage]) -> list[str]:
        """Return of each passage the sentences or rows that answer a question best; all of a short one."""
        return await self._search.quotes(question, passages)

    async def explain_no_results(self, scope: DocumentScope | None = None) -> str:
        """Return one line for the operator: why a search found nothing, and the next step."""
        if not await self.has_documents(scope):
            return await self._explain_no_documents()
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
            await self._embedder.embed_query("?")
        except EngineError as error:
            return f"Search was by words alone, as the embedding model does not answer: {error}"
        return "No passage is near enough; ask in other words, or --mode words looks for the words as they stand."

    async def _explain_no_documents(self) -> str:
        if await self.has_documents(whole_tenant=True):
            return "All documents are for certain people or conversations: name them by --person or --conversation."
        return "There are no documents yet: 'qwendesk kb add PATH' takes some in."

    async def first_passages(
        self, uris: Sequence[str], scope: DocumentScope | None = None, limit: int = 5
    ) -> list[Passage]:
        """Return the first passages of documents, given by URI, that the scope may read."""
        return await self.repository.first_passages(uris, self._checked(scope), limit)

    async def documents(self) -> list[StoredDocument]:
        """Return all documents of the tenant."""
        return await self.repository.documents(self.everybody.tenant, self.model)

    async def has_documents(self, scope: DocumentScope | None = None, *, whole_tenant: bool = False) -> bool:
        """Return whether the scope may read a document; with ``whole_tenant``, whether the tenant has one."""
        return await self.repository.has_documents(self._checked(scope), whole_tenant=whole_tenant)

    async def state(self) -> KnowledgeState:
        """Return the counts of documents and passages."""
        return await self.repository.state(self.everybody.tenant, self.model)

    async def remove(self, ids: Sequence[str]) -> int:
        """Delete documents with their passages, vectors and index entries; return the number of documents."""
        return await self.repository.remove(self.everybody.tenant, ids)

    async def reindex(
        self,
        progress: ProgressCallback = _ignore_progress,
        *,
        replace_vectors: bool = False,
        scope: DocumentScope | None = None,
    ) -> int:
        """Create missing vectors of the current model; return their number.

        Without a scope, full-text terms of an older version are renewed too.

        Args:
            progress: receives the number of finished passages and of those without a vector.
            replace_vectors: replace existing vectors too.
            scope: only passages of this scope; None: all of the tenant.

        Raises:
            EngineError: the embedding model does not answer; vectors created before are kept.
        """
        tenant = self.everybody.tenant
        if scope is None:
            await renew_terms(self._database, tenant)
        if self._embedder is None:
            return 0
        if replace_vectors:
            await self.repository.delete_vectors(tenant)
        state = await self.state()
        done, total = 0, state.passages - state.embedded
        while rows := await self.repository.without_vector(tenant, self._embedder.name, EMBED_BATCH_SIZE, scope=scope):
            vectors = await self._embedder.embed_documents([text for _, _, text in rows])
            await self.repository.add_vectors(self._embedder.name, tenant, [row[:2] for row in rows], vectors)
            done += len(rows)
            progress(min(done, total), total)
        self._added_passages += done
        await self.maintain_indexes()
        return done

    async def has_missing_vectors(self, scope: DocumentScope) -> bool:
        """Return whether a passage of this scope has no vector of the current model."""
        if self._embedder is None:
            return False
        return bool(await self.repository.without_vector(self.everybody.tenant, self._embedder.name, 1, scope=scope))

    async def reread_outdated(self) -> int:
        """Add documents again that an older version converted; return the number of updated documents."""
        count = 0
        for document, scope in await self.repository.outdated(self.everybody.tenant):
            result = await self.add(document, scope)
            count += result.status == "updated"
        return count

    async def scope_of(self, channel: str, account: str, person: str, conversation: str) -> DocumentScope:
        """Return the scope of a person in a conversation, by their names on the channel."""
        values = {"channel": channel, "account": account, "person": person}
        find_person = select(PersonIdentity.person_id).where(*is_person())
        find_conversation = select(Conversation.id).where(*is_conversation(channel, account, conversation))
        async with TenantDatabase(self._database, self.everybody.tenant).read() as connection:
            person_id = (await connection.execute(find_person, values)).scalar_one_or_none()
            conversation_id = (await connection.execute(find_conversation)).scalar_one_or_none()
        return replace(self.everybody, person=person_id, conversation=conversation_id)

    def _checked(self, scope: DocumentScope | None) -> DocumentScope:
        """Return the scope, by default that of everybody; refuse one of another tenant."""
        if scope and scope.tenant != self.everybody.tenant:
            raise ConfigError(f"The scope is of {scope.tenant!r} and the documents are of {self.everybody.tenant!r}.")
        return scope or self.everybody

    async def _maintain_indexes(self) -> None:
        async with self._database.write() as connection:
            await self._full_text.update_statistics(connection)
        await self._vector_index.maintain_index()


def sent_file_uri(name: str) -> str:
    """Return the URI of a file that was sent with a message."""
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
    """Open a tenant's knowledge base without a desk."""
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
