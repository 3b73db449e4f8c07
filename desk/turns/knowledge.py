"""The desk's documents: who asks decides which of them are looked at."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

from qwendesk.errors import InputError
from qwendesk.held_words import Forgotten
from qwendesk.knowledge.base import IngestResult, Passage
from qwendesk.knowledge.embeddings.base import Embedder
from qwendesk.knowledge.knowledge_base import KnowledgeBase, sent_file_uri
from qwendesk.knowledge.readers.converter import ReadingLimits
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.messages import Attachment, Inbound, storable
from qwendesk.tools.knowledge import knowledge_tool

_LOOK_EVERY = 5.0
"""Seconds for which the answer to "are there documents?" is trusted."""
_ACCOUNT = ""
_MOST_KNOWN = 10_000
AT_ONCE = 24
"""Passages of a document that get their vectors before its message is answered: a few seconds' work."""
_WIDELY = 20
_NAME = 80


class DeskKnowledge:
    """A knowledge base as the desk's turns use it, and the tool by which a model searches it.

    Args:
        database: the conversations' database.
        tenant: whose documents they are.
        embedder: makes vectors; None: words alone are searched.
        limits: how many files are read at once, and for how long.
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
        """Whose documents are known to have their vectors; it is asked once, as a process may have ended before."""
        self._looked_at = float("-inf")

    async def refresh(self) -> None:
        """Check, at most every few seconds, whether there are documents: the tool is offered only then."""
        if time.monotonic() - self._looked_at > _LOOK_EVERY:
            self._has_documents = await self.base.has_documents(whole_tenant=True)
            self._looked_at = time.monotonic()

    async def search(self, question: str, inbound: Inbound | None, limit: int) -> Sequence[Passage]:
        """Return passages that the writer of the message may read; without a message those for everybody."""
        scope = await self.scope_of(inbound) if inbound else None
        return await self.base.search(question, scope, limit=limit)

    async def scope_of(self, inbound: Inbound) -> DocumentScope:
        """Return what the writer of a message may read."""
        return await self.base.scope_of(inbound.channel, _ACCOUNT, inbound.person, inbound.conversation)

    async def keep(self, attachment: Attachment, inbound: Inbound) -> IngestResult:
        """Take in a document that came with a message: for its writer, in this conversation, and nobody else.

        Raises:
            InputError: it cannot be read; the text says why.
        """
        scope = await self.scope_of(inbound)
        if scope.conversation is None:
            raise InputError(
                f"The conversation {inbound.conversation!r} is not stored yet: keep its documents after that."
            )
        name = name_of(attachment)
        outcome = await self.base.add_bytes(
            name,
            attachment.data,
            scope,
            mime=attachment.mime,
            max_embedded_passages=AT_ONCE,
            owner=_owner(inbound.channel, inbound.person),
            timeout=self._limits.attachment_seconds,
        )
        self._has_documents = True
        self._embedded.discard(scope)
        return outcome

    async def about(self, inbound: Inbound, names: Sequence[str], limit: int) -> Sequence[Passage]:
        """Return passages of documents that came with a message: those that it asks for, else their first ones."""
        scope = await self.scope_of(inbound)
        uris = [sent_file_uri(name) for name in names]
        found = await self.base.search(inbound.text, scope, limit=_WIDELY) if inbound.text.strip() else []
        mine = [passage for passage in found if passage.uri in uris][:limit]
        return mine or await self.base.first_passages(uris, scope, limit)

    async def embed_rest(self, inbound: Inbound) -> None:
        """Give documents of a conversation the vectors that they lack: long ones, and where the model was away."""
        if not self._embedder or not self._has_documents:
            return
        scope = await self.scope_of(inbound)
        if scope in self._embedded:
            return
        if await self.base.has_missing_vectors(scope):
            await self.base.reindex(scope=scope)
        if len(self._embedded) >= _MOST_KNOWN:
            self._embedded.clear()
        self._embedded.add(scope)

    async def drop(self, forgotten: Forgotten) -> None:
        """End the workers that have read documents of a person who is forgotten."""
        owners = {_owner(*name) for name in forgotten.names} if forgotten.names is not None else None
        await self.base.end_readers(lambda owner: owners is None or owner in owners)

    async def aclose(self) -> None:
        """Free the embedding model and the worker that reads files."""
        await self.base.aclose()
        if self._embedder:
            await self._embedder.aclose()


def _owner(channel: str, person: str) -> str:
    return f"{channel}:{person}"


def name_of(file: Attachment) -> str:
    """Return a document's name on one line; a nameless one is not to take the place of another."""
    name = "".join(sign if sign.isprintable() else " " for sign in storable(file.name)).strip()
    return name[-_NAME:] or f"document {hashlib.sha256(file.data).hexdigest()[:6]}"
