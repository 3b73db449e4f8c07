"""Values of the knowledge base, and the port of an embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from qwendesk.messages import Source

Vectors = NDArray[np.float32]
"""One row for each text, normalised to length 1."""
IngestStatus = Literal["added", "updated", "unchanged", "refused"]


class EmbeddingModel(Protocol):
    """Converts texts to vectors; the dot product of two vectors is the similarity of their texts."""

    @property
    def name(self) -> str:
        """Engine and model; stored with each vector, because vectors of two models cannot be compared."""

    @property
    def min_similarity(self) -> float | None:
        """Least cosine similarity of a question and a passage that answers it; None: not known."""

    async def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""

    async def embed_query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options of a reader."""

    encoding: str = ""
    """The encoding that the sender declares; empty: none."""
    hidden: bool = False
    """Whether hidden sheets, rows and columns are read too."""

    @property
    def encodings(self) -> tuple[str, ...]:
        """The declared encodings, at most one."""
        return (self.encoding,) if self.encoding else ()


DEFAULT_OPTIONS = ReadOptions()


@dataclass(frozen=True, slots=True)
class Section:
    """Text of a document under one heading."""

    text: str
    headings: tuple[str, ...] = ()
    """Headings above the text, outermost first."""
    place: str = ""
    """Position in the document, such as ``page 3`` or ``sheet Prices``."""
    unit: str = ""
    """Name of a line in a citation, such as ``line`` or ``row``; empty: lines are not counted."""
    first: int = 1
    """Number of the first line."""


@dataclass(frozen=True, slots=True)
class Document:
    """A file converted to text."""

    title: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    """Remarks on the conversion, such as an uncertain encoding; each is one line."""
    kind: str = ""
    """The kind of file that the reader detected; empty: the kind it was called for."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to be indexed."""

    text: str
    headings: str
    place: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage found by a search."""

    chunk: int
    document: str
    """Id of the document."""
    title: str
    uri: str
    headings: str
    place: str
    text: str
    score: float
    """Score of reciprocal rank fusion; comparable only within one search."""

    @property
    def citation(self) -> str:
        """Document and place in one line."""
        return ", ".join(filter(None, (self.title, self.headings, self.place)))

    @property
    def source(self) -> Source:
        """The passage as an answer names it; only web pages have an address that a person can open."""
        url = self.uri if self.uri.startswith(("http://", "https://")) else ""
        return Source(self.title, url, ", ".join(filter(None, (self.headings, self.place))), self.text)

    def as_dict(self) -> dict[str, Any]:
        """Return the passage as plain JSON types."""
        names = ("document", "title", "uri", "headings", "place", "text", "score")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document in a list."""

    id: str
    uri: str
    title: str
    kind: str
    size: int
    sha256: str
    chunks: int
    embedded: int
    """Number of passages that have a vector of the current model."""
    scope: str
    notes: str
    """Remarks on the conversion, one a line."""
    added_at: datetime


@dataclass(frozen=True, slots=True)
class KnowledgeState:
    """Counts of a tenant's knowledge base."""

    documents: int
    passages: int
    embedded: int
    """Passages that have a vector of the current model."""
    old_terms: int
    """Documents whose full-text terms were made by an older version; ``reindex`` renews them."""
    model: str | None
    """Name of the current embedding model; None: search uses full text only."""


@dataclass(frozen=True, slots=True)
class IngestResult:
    """Result of adding one source."""

    source: str
    status: IngestStatus
    detail: str = ""
    """Reason of a refusal."""
    chunks: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """Remarks on the conversion."""
