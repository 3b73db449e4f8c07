"""The knowledge base as turns use it: each person searches the documents of their scope."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwendesk.agents.state import Retrieval
from qwendesk.desk.translations import say
from qwendesk.desk.turns.background import FinishedTurn
from qwendesk.errors import FileProblem, InputError
from qwendesk.knowledge.base import IngestResult, Passage
from qwendesk.knowledge.embeddings.base import Embedder
from qwendesk.knowledge.knowledge_base import KnowledgeBase, sent_file_uri
from qwendesk.knowledge.readers.converter import ReadingLimits
from qwendesk.memory.database import Database
from qwendesk.memory.records import DocumentScope
from qwendesk.messages import Attachment, DocumentSearch, Inbound, Notice, storable_text
from qwendesk.prompt_quoting import Block
from qwendesk.prompts import render
from qwendesk.routing.signals.language import identify_language
from qwendesk.text_caches import Forgotten
from qwendesk.tools.knowledge import MAX_PASSAGES, format_passage, knowledge_tool

_REFRESH_SECONDS = 5.0
"""Seconds for which the result of ``refresh`` is cached."""
_ACCOUNT = ""
_MAX_EMBEDDED_SCOPES = 10_000
MAX_PASSAGES_EMBEDDED_AT_ONCE = 24
"""Passages of a document that are embedded before its message is answered, a few seconds' work."""
_SEARCH_LIMIT = 20
_MAX_NAME_CHARS = 80
_NEAREST_SHOWN = 2
"""Passages that are shown where none answers for certain."""
MAX_DOCUMENTS = 10
"""Documents of one message that are ingested."""
TIMEOUT_SECONDS = 90.0
"""Seconds that a message may wait for its documents."""
_PROBLEM_TEXTS: Mapping[FileProblem | None, str] = {
    None: "document_unread",
    "empty": "document_empty",
    "encrypted": "document_locked",
    "scanned": "document_scan",
    "too_large": "document_large",
    "too_slow": "document_large",
}
"""Keys of the texts for the person."""


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
        self.tool = knowledge_tool(self.search)
        self.tool.is_offered = False
        self._embedder = embedder
        self._embedded: set[DocumentScope] = set()
        """Scopes whose documents have all embeddings; checked once, since a process may have been interrupted."""
        self._refreshed_at = float("-inf")

    async def refresh(self, *, max_age_seconds: float = _REFRESH_SECONDS) -> None:
        """Check whether there are documents, as the tool is offered only then; a recent result is kept."""
        if time.monotonic() - self._refreshed_at > max_age_seconds:
            self.tool.is_offered = await self.base.has_documents(whole_tenant=True)
            self._refreshed_at = time.monotonic()

    async def search(self, question: str, inbound: Inbound | None, limit: int) -> Sequence[Passage]:
        """Return passages that the message's person may read; without a message passages for everybody."""
        scope = await self.scope_of(inbound) if inbound else None
        return await self.base.search(question, scope, limit=limit)

    async def retrieve(self, inbound: Inbound, question: str) -> Retrieval | None:
        """Search for a question of a message; None: there is no document that the message's person may read."""
        if not self.tool.is_offered:
            return None
        verdict = await self.base.judge(question, await self.scope_of(inbound), identify_language(question))
        if verdict is None:
            return None
        passages = verdict.passages[:MAX_PASSAGES] if verdict.is_near else ()
        sources = tuple(passage.source for passage in passages)
        search = DocumentSearch(question, verdict.outcome, verdict.reason, sources)
        count = {"answered": _NEAREST_SHOWN, "possible": _NEAREST_SHOWN}.get(verdict.outcome, 0)
        return Retrieval(search, tuple(await self.base.quotes(question, passages[:count])))

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
        self.tool.is_offered = True
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
        if not self._embedder or not self.tool.is_offered:
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


@dataclass(frozen=True, slots=True)
class RecentDocument:
    """An ingested document."""

    name: str
    passages: int
    notes: tuple[str, ...] = ()
    """Notes on how it was read."""


@dataclass(frozen=True, slots=True)
class IngestedDocuments:
    """Result of ingesting a message's documents."""

    prompt: str = ""
    """Text on the documents for the model; empty if there are none."""
    problems: tuple[str, ...] = ()
    """Texts for the person on documents that could not be read."""
    notes: tuple[str, ...] = ()
    """Notes for the receipt."""


class MessageDocuments:
    """Ingests documents that come with messages.

    Args:
        knowledge: stores them.
        folder: folder of the user's own prompts.
        timeout_seconds: time that a message may wait for its documents.
    """

    def __init__(
        self, knowledge: DeskKnowledge, folder: Path | None = None, *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._knowledge = knowledge
        self._folder = folder
        self._timeout_seconds = timeout_seconds

    async def ingest(
        self, inbound: Inbound, language: str | None, notify: Callable[[Notice], None]
    ) -> IngestedDocuments:
        """Ingest a stored message's documents and search them for its question.

        Args:
            inbound: the message.
            language: the person's language.
            notify: callback for the document that is being read.

        Raises:
            InputError: the message has nothing but documents, and none can be read.
        """
        files = [part for part in inbound.attachments if part.kind == "document"]
        documents: list[RecentDocument] = []
        problems: list[str] = []
        ends = asyncio.get_running_loop().time() + self._timeout_seconds
        problems += [
            say("document_many", language, name=name_of(file), most=MAX_DOCUMENTS) for file in files[MAX_DOCUMENTS:]
        ]
        for file in files[:MAX_DOCUMENTS]:
            name = name_of(file)
            notify(Notice(say("document_reading", language, name=name)))
            try:
                async with asyncio.timeout_at(ends):
                    outcome = await self._knowledge.add(file, inbound)
                    documents.append(RecentDocument(name, outcome.chunks, outcome.notes))
            except (InputError, TimeoutError) as error:
                problem = error.problem if isinstance(error, InputError) else "too_slow"
                problems.append(say(_PROBLEM_TEXTS[problem], language, name=name))
        if problems and not documents and len(files) == len(inbound.attachments) and not inbound.text.strip():
            text = "\n".join(problems)
            raise InputError(text, told=text)
        return await self._result(inbound, documents, problems) if files else IngestedDocuments()

    async def embed_rest(self, turn: FinishedTurn) -> None:
        """Compute the embeddings of long documents that the turn did not wait for."""
        await self._knowledge.embed_rest(turn.inbound)

    async def _result(
        self, inbound: Inbound, documents: Sequence[RecentDocument], problems: Sequence[str]
    ) -> IngestedDocuments:
        found = (
            await self._knowledge.passages(inbound, [file.name for file in documents], MAX_PASSAGES)
            if documents
            else ()
        )
        prompt = render(
            "documents",
            folder=self._folder,
            documents=documents,
            unread=len(problems),
            passages=[Block(format_passage(number, passage)) for number, passage in enumerate(found, 1)],
            asked=bool(inbound.text.strip()),
        )
        return IngestedDocuments(prompt, tuple(problems), tuple(map(_note, documents)))


def _note(file: RecentDocument) -> str:
    return "; ".join((f"read {file.name}{_counted(file.passages)}", *file.notes))


def _counted(passages: int) -> str:
    """Return the count of new passages; empty if the document was sent before."""
    return f" ({passages} passage{'' if passages == 1 else 's'})" if passages else ""
