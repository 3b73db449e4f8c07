"""Ingestion: read a source, convert it, split it into passages, embed them, and store all or nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qwendesk.errors import EngineError, InputError
from qwendesk.knowledge.base import EmbeddingModel, IngestResult, ReadOptions, Vectors
from qwendesk.knowledge.chunking import CONVERSION_VERSION, embedded_text, split_document
from qwendesk.knowledge.document_repository import DocumentRepository, DocumentSource
from qwendesk.knowledge.readers.file_types import SUFFIXES, detect_kind
from qwendesk.memory.records import DocumentScope
from qwendesk.messages import storable_text

if TYPE_CHECKING:
    from qwendesk.knowledge.readers.converter import Converter
    from qwendesk.safe_fetch import Fetcher

MAX_FILE_BYTES = 100_000_000
EMBED_BATCH_SIZE = 8
"""Passages embedded in one call; small, so that progress is shown and cancellation takes effect."""
ProgressCallback = Callable[[int, int], None]
"""Receives the number of finished passages and the total."""
_MAX_TITLE_CHARS = 200
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://|mailto:)")
"""Scheme of an address; at least two letters, to distinguish it from a Windows drive."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file with its bytes, before conversion."""

    uri: str
    name: str
    data: bytes
    mime: str = ""
    encoding: str = ""
    """The encoding that the sender declares."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """Options of ingesting one file."""

    force: bool = False
    """Whether an unchanged file is ingested again."""
    max_embedded_passages: int | None = None
    """Longer documents are stored without vectors; None: no limit."""
    include_hidden: bool = False
    """Whether hidden sheets, rows and columns are read too."""
    owner: str = ""
    """The sender; one file of an owner is read at a time."""
    timeout: float | None = None
    """Seconds that reading may take; None: the limit of the knowledge base."""


_DEFAULT_OPTIONS = IngestOptions()


class DocumentIngestion:
    """Converts sources to stored documents."""

    def __init__(
        self, repository: DocumentRepository, embedder: EmbeddingModel | None, converter: Converter, fetcher: Fetcher
    ) -> None:
        self._repository = repository
        self._embedder = embedder
        self._converter = converter
        self._fetcher = fetcher

    async def add(
        self, source: str, scope: DocumentScope, progress: ProgressCallback, options: IngestOptions = _DEFAULT_OPTIONS
    ) -> IngestResult:
        """Ingest a file by its path or a page by its URL; an error is returned as a refusal."""
        begun = time.perf_counter()
        try:
            raw = await (self._fetch(source) if is_url(source) else asyncio.to_thread(_read_file, source))
            result = await self.add_raw(raw, scope, progress, options)
        except InputError as error:
            return IngestResult(storable_text(source), "refused", str(error))
        return replace(result, source=storable_text(source), seconds=time.perf_counter() - begun)

    async def add_raw(
        self,
        raw: SourceFile,
        scope: DocumentScope,
        progress: ProgressCallback,
        options: IngestOptions = _DEFAULT_OPTIONS,
    ) -> IngestResult:
        """Ingest the bytes of a file.

        Raises:
            InputError: the file cannot be read; the text says why.
        """
        if len(raw.data) > MAX_FILE_BYTES:
            raise _too_large(len(raw.data))
        digest = hashlib.sha256(raw.data).hexdigest()
        known = await self._repository.find(raw.uri, scope)
        if known and known[1:] == (digest, CONVERSION_VERSION) and not options.force:
            return IngestResult(raw.name, "unchanged")
        kind = detect_kind(raw.data, raw.name, raw.mime)
        read_options = ReadOptions(raw.encoding, options.include_hidden)
        document = await self._converter.convert(
            kind, raw.data, read_options, owner=options.owner, time_limit=options.timeout
        )
        title = _one_line(document.title) or _one_line(raw.name) or raw.uri
        chunks = await asyncio.to_thread(split_document, document)
        if not chunks:
            raise InputError("it holds no text", problem="empty")
        vectors = await self._embed(
            [embedded_text(chunk, title) for chunk in chunks], progress, options.max_embedded_passages
        )
        source = DocumentSource(raw.uri, title, document.kind or kind, len(raw.data), digest, document.notes)
        await self._repository.put(source, scope, chunks, vectors, self._embedder.name if self._embedder else None)
        return IngestResult(raw.name, "updated" if known else "added", chunks=len(chunks), notes=document.notes)

    async def _embed(self, texts: list[str], progress: ProgressCallback, max_passages: int | None) -> Vectors | None:
        if self._embedder is None or (max_passages is not None and len(texts) > max_passages):
            return None
        try:
            return await self._embed_batches(self._embedder, texts, progress)
        except EngineError:
            # the sender waits for an answer, and full text finds the document without vectors
            if max_passages is None:
                raise
            return None

    async def _embed_batches(self, embedder: EmbeddingModel, texts: list[str], progress: ProgressCallback) -> Vectors:
        done: list[Vectors] = []
        for start in range(0, len(texts), EMBED_BATCH_SIZE):
            progress(start, len(texts))
            done.append(await embedder.embed_documents(texts[start : start + EMBED_BATCH_SIZE]))
        progress(len(texts), len(texts))
        return np.concatenate(done)

    async def _fetch(self, url: str) -> SourceFile:
        page = await self._fetcher.fetch(url)
        return SourceFile(url, storable_text(page.name or page.url), page.data, page.mime, page.encoding)


def is_url(source: str) -> bool:
    """Return whether a source is a URL, not a path."""
    return source.lower().startswith(("http://", "https://"))


async def expand_sources(sources: Iterable[str]) -> list[str]:
    """Return the files and URLs that sources stand for: a folder is replaced by its readable files."""
    return await asyncio.to_thread(lambda: [file for source in sources for file in expand_source(source)])


def expand_source(source: str) -> Iterator[str]:
    """Yield the readable files of a folder, recursively; any other source as it is.

    Hidden files are left out, and so are symbolic links that lead out of the folder.
    """
    folder = Path(source).expanduser() if not is_url(source) and "\0" not in source else None
    files = _readable_files(folder) if folder and folder.is_dir() else []
    # a folder without readable files is yielded, so that it is refused with a reason
    yield from map(str, files) if files else [source]


def _readable_files(folder: Path) -> list[Path]:
    """Return the readable files below a folder; folders without permission are skipped."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        readable = (name for name in names if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES)
        found += [file for name in readable if _is_within(file := Path(place, name), folder)]
    return sorted(found)


def _is_within(file: Path, folder: Path) -> bool:
    """Return whether a file is inside the folder; a symbolic link may lead out of it."""
    return file.is_file() and (not file.is_symlink() or file.resolve().is_relative_to(folder.resolve()))


def _read_file(source: str) -> SourceFile:
    if scheme := _SCHEME.match(source):
        raise InputError(f"{scheme[1]} cannot be fetched, http:// and https:// can; download it and add the file")
    try:
        path = Path(source).expanduser().resolve()
        size = path.stat().st_size
        if path.is_dir():
            raise InputError(f"no file in it is of a kind that can be read ({', '.join(sorted(SUFFIXES))})")
        if not path.is_file():
            raise InputError("it is no file")
        if size > MAX_FILE_BYTES:
            raise _too_large(size)
        with path.open("rb") as file:
            # limited, because the file may grow while it is read
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        hint = "; a web address begins with https://" if source.lower().startswith("www.") else ""
        raise InputError(f"there is no such file{hint}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return SourceFile(storable_text(str(path)), storable_text(path.name), data)


def _too_large(size: int) -> InputError:
    return InputError(
        f"it has {size / 1e6:,.0f} MB; the limit is {MAX_FILE_BYTES / 1e6:,.0f} MB: split it into several files",
        problem="too_large",
    )


def _one_line(text: str) -> str:
    printable = "".join(char if char.isprintable() else " " for char in storable_text(text))
    return " ".join(printable.split())[:_MAX_TITLE_CHARS]
