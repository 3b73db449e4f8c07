"""Ingestion of documents that come with a message, for its person and conversation only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwendesk.desk.translations import say
from qwendesk.desk.turns.background import FinishedTurn
from qwendesk.desk.turns.knowledge import DeskKnowledge, name_of
from qwendesk.errors import InputError
from qwendesk.messages import Inbound, Notice
from qwendesk.prompt_quoting import Block
from qwendesk.prompts import render
from qwendesk.tools.knowledge import MAX_PASSAGES, format_passage

MAX_DOCUMENTS = 10
"""Documents of one message that are ingested."""
TIMEOUT_SECONDS = 90.0
"""Seconds that a message may wait for its documents."""
_REASONS = (
    ("damaged", "document_unread"),
    ("encrypted", "document_locked"),
    ("OCR", "document_scan"),
    ("at most", "document_large"),
    ("longer than", "document_large"),
    ("empty", "document_empty"),
    ("no text", "document_empty"),
)
"""Words of an error, and the key of the text for the person."""
_DEFAULT_REASON = "document_unread"


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
                problems.append(say(_reason(str(error) or "longer than"), language, name=name))
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


def _reason(error: str) -> str:
    return next((key for words, key in _REASONS if words in error), _DEFAULT_REASON)
