"""The values of the knowledge base, and what it asks of an embedding model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""One row a text, each of length 1."""


class EmbeddingModel(Protocol):
    """Turns texts into vectors whose product says how alike they are in meaning."""

    @property
    def name(self) -> str:
        """Names engine and model; kept beside each vector, since vectors of two models cannot be compared."""

    @property
    def weakest(self) -> float | None:
        """How alike (cosine) a question and a passage have to be at least; None: where that begins is not known."""

    async def documents(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of passages."""

    async def query(self, text: str) -> NDArray[np.float32]:
        """Return the vector of a question."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document under one heading."""

    text: str
    headings: tuple[str, ...] = ()
    """The headings above it, outermost first."""
    place: str = ""
    """Where it is, such as ``page 3`` or ``sheet Prices``."""
    unit: str = ""
    """What a line of the text is called in a citation, such as ``line`` or ``row``; empty: lines are not counted."""
    first: int = 1
    """The number of its first line."""


@dataclass(frozen=True, slots=True)
class Document:
    """What a converter made of a file."""

    title: str
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    """What a reader of it should know, such as an encoding that was not certain; each is a line."""
    kind: str = ""
    """What the file turned out to be; empty: what it was taken for."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to be indexed."""

    text: str
    headings: str
    place: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A passage that was found."""

    chunk: int
    document: str
    """The document's id."""
    title: str
    uri: str
    headings: str
    place: str
    text: str
    score: float
    """By reciprocal rank fusion: only good for comparing passages of one search."""

    @property
    def citation(self) -> str:
        """Document and place in one line."""
        return ", ".join(filter(None, (self.title, self.headings, self.place)))

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types."""
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
    """How many of its chunks have a vector of the current model."""
    scope: str
    notes: str
    """What a reader of it should know of how it was read, a line each."""
    added_at: datetime


IngestStatus = Literal["added", "updated", "unchanged", "refused"]


@dataclass(frozen=True, slots=True)
class IngestResult:
    """What became of one source."""

    source: str
    status: IngestStatus
    detail: str = ""
    """Why it was refused."""
    chunks: int = 0
    seconds: float = 0.0
    notes: tuple[str, ...] = ()
    """What a reader of it should know of how it was read."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How a file is to be read."""

    encoding: str = ""
    """The encoding that its sender declares; empty: none."""
    hidden: bool = False
    """Whether hidden sheets, rows and columns are read too."""

    @property
    def encodings(self) -> tuple[str, ...]:
        """The declared encodings, at most one."""
        return (self.encoding,) if self.encoding else ()


DEFAULT_OPTIONS = ReadOptions()
