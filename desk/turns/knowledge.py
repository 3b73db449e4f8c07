"""The knowledge base as turns use it: each person searches the documents of their scope."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from qwendesk.errors import InputError
from qwendesk.knowledge.base import IngestResult, Passage
from qwendesk.knowledge.embeddings.base import Embedder
from qwendesk.knowledge.knowledge_base import KnowledgeBase, sent_file_uri
from qwendesk.knowledge.readers.converter import ReadingLimits
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.messages import Attachment, Inbound, storable_text
from qwendesk.text_caches import Forgotten
from qwendesk.tools.knowledge import knowledge_tool

_REFRESH_SECONDS = 5.0
"""Seconds for which the result of ``refresh`` is cached."""
_ACCOUNT = ""
_MAX_EMBEDDED_SCOPES = 10_000
MAX_PASSAGES_EMBEDDED_AT_ONCE = 24
"""Passages of a document that are embedded before its message is answered, a few seconds' work."""
_SEARCH_LIMIT = 20
_MAX_NAME_CHARS = 80


class DeskKnowledge:
    """A knowledge base for turns, and the tool that a model searches it with.

    Args:
        database: the conversations' database.
        tenant: owner of the documents.
        embedder: computes embeddings; None: full-text search only.
        limits: concurrent readers and their time limits.
    """

    def __init__(
        self, database: Database, embedder: Embedder | None, tenant: str, limits: ReadingLimits | None = None
    ) -> None:
        self._limits = limits or ReadingLimits()
        self.base = KnowledgeBase(database, embedder, tenant=tenant, limits=self._limits)
        self.tool = knowledge_tool(self.search, lambda: self._has_documents)
        self._embedder = embedder
        self._has_documents = False
        self._embedded: set[DocumentScope] = set()
        """Scopes whose documents have all embeddings; checked once, since a process may have been interrupted."""
        self._refreshed_at = float("-inf")

    async def refresh(self, *, max_age_seconds: float = _REFRESH_SECONDS) -> None:
        """Check whether there are documents, as the tool is offered only then; a recent result is kept."""
        if time.monotonic() - self._refreshed_at > max_age_seconds:
            self._has_documents = await self.base.has_documents(whole_tenant=True)
            self._refreshed_at = time.monotonic()

    async def search(self, question: str, inbound: Inbound | None, limit: int) -> Sequence[Passage]:
        """Return passages that the message's person may read; without a message passages for everybody."""
        scope = await self.scope_of(inbound) if inbound else None
        return await self.base.search(question, scope, limit=limit)

    async def scope_of(self, inbound: Inbound) -> DocumentScope:
        """Return the documents that a message's person may read."""
        return await self.base.scope_of(inbound.channel, _ACCOUNT, inbound.person, inbound.conversation)

    async def add(self, attachment: Attachment, inbound: Inbound) -> IngestResult:
        """Ingest a document that came with a message, for its person in this conversation only.

        Raises:
            InputError: it cannot be read; the text has the reason.
        """
        scope = await self.scope_of(inbound)
        if scope.conversation is None:
            raise InputError(
                f"The conversation {inbound.conversation!r} is not stored yet: store it before its documents."
            )
        name = name_of(attachment)
        outcome = await self.base.add_bytes(
            name,
            attachment.data,
            scope,
            mime=attachment.mime,
            max_embedded_passages=MAX_PASSAGES_EMBEDDED_AT_ONCE,
            owner=_owner(inbound.channel, inbound.person),
            timeout=self._limits.attachment_seconds,
        )
        self._has_documents = True
        self._embedded.discard(scope)
        return outcome

    async def passages(self, inbound: Inbound, names: Sequence[str], limit: int) -> Sequence[Passage]:
        """Return passages of a message's documents: those that match its question, else their first ones."""
        scope = await self.scope_of(inbound)
        uris = [sent_file_uri(name) for name in names]
        found = await self.base.search(inbound.text, scope, limit=_SEARCH_LIMIT) if inbound.text.strip() else []
        mine = [passage for passage in found if passage.uri in uris][:limit]
        return mine or await self.base.first_passages(uris, scope, limit)

    async def embed_rest(self, inbound: Inbound) -> None:
        """Compute missing embeddings of a conversation's documents: of long ones, and after an outage of the model."""
        if not self._embedder or not self._has_documents:
            return
        scope = await self.scope_of(inbound)
        if scope in self._embedded:
            return
        if await self.base.has_missing_vectors(scope):
            await self.base.reindex(scope=scope)
        if len(self._embedded) >= _MAX_EMBEDDED_SCOPES:
            self._embedded.clear()
        self._embedded.add(scope)

    async def drop(self, forgotten: Forgotten) -> None:
        """Stop the reader processes that have read documents of a deleted person."""
        owners = {_owner(*name) for name in forgotten.names} if forgotten.names is not None else None
        await self.base.end_readers(lambda owner: owners is None or owner in owners)

    async def aclose(self) -> None:
        """Free the embedding model and the reader processes."""
        await self.base.aclose()
        if self._embedder:
            await self._embedder.aclose()


def _owner(channel: str, person: str) -> str:
    return f"{channel}:{person}"


def name_of(file: Attachment) -> str:
    """Return a document's name on one line; one without a name gets a name by its content."""
    name = "".join(sign if sign.isprintable() else " " for sign in storable_text(file.name)).strip()
    return name[-_MAX_NAME_CHARS:] or f"document {hashlib.sha256(file.data).hexdigest()[:6]}"
