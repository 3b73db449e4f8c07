"""From a path, an address or bytes to a stored document: read, convert, cut, embed, store whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
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
from qwendesk.messages import storable

if TYPE_CHECKING:
    from qwendesk.knowledge.readers.converter import Converter
    from qwendesk.safe_fetch import Fetcher

MAX_FILE_BYTES = 100_000_000
"""Most bytes of one file."""
EMBED_BATCH_SIZE = 8
"""Passages that are embedded in one go: small, so that progress shows and a stop is heard."""
ProgressCallback = Callable[[int, int], None]
"""Is told how many passages of a document are done, and of how many."""
_MAX_TITLE_CHARS = 200
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+://|mailto:)")
"""How an address begins; a drive of Windows has one letter."""


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file as it was read."""

    uri: str
    name: str
    data: bytes
    mime: str = ""
    encoding: str = ""
    """The encoding that its sender declares."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """How a file is taken in."""

    anew: bool = False
    """Whether also where it has not changed."""
    at_once: int | None = None
    """Passages up to which it gets its vectors now; None: whatever its length."""
    hidden: bool = False
    """Whether hidden sheets, rows and columns are read too."""
    owner: str = ""
    """Who sent it: an owner has one file read at a time."""
    seconds: float | None = None
    """How long reading it may take; None: as long as the knowledge base is set to."""


_DEFAULT_OPTIONS = IngestOptions()


class DocumentIngestion:
    """Takes documents in."""

    def __init__(
        self, shelf: DocumentRepository, embedder: EmbeddingModel | None, converter: Converter, fetcher: Fetcher
    ) -> None:
        self._shelf = shelf
        self._embedder = embedder
        self._converter = converter
        self._fetcher = fetcher

    async def add(
        self, source: str, scope: DocumentScope, step: ProgressCallback, handling: IngestOptions = _DEFAULT_OPTIONS
    ) -> IngestResult:
        """Take in a file by its path, or a page by its address; what is wrong with it is in the outcome."""
        begun = time.perf_counter()
        try:
            raw = await (self._fetched(source) if is_url(source) else asyncio.to_thread(_read_file, source))
            outcome = await self.add_raw(raw, scope, step, handling)
        except InputError as error:
            return IngestResult(storable(source), "refused", str(error))
        return replace(outcome, source=storable(source), seconds=time.perf_counter() - begun)

    async def add_raw(
        self, raw: SourceFile, scope: DocumentScope, step: ProgressCallback, handling: IngestOptions = _DEFAULT_OPTIONS
    ) -> IngestResult:
        """Take in a file's bytes.

        Raises:
            InputError: it cannot be read.
        """
        if len(raw.data) > MAX_FILE_BYTES:
            raise InputError(_too_large(len(raw.data)))
        digest = hashlib.sha256(raw.data).hexdigest()
        known = await self._shelf.known(raw.uri, scope)
        if known and known[1:] == (digest, CONVERSION_VERSION) and not handling.anew:
            return IngestResult(raw.name, "unchanged")
        kind = detect_kind(raw.data, raw.name, raw.mime)
        options = ReadOptions(raw.encoding, handling.hidden)
        document = await self._converter.convert(
            kind, raw.data, options, owner=handling.owner, time_limit=handling.seconds
        )
        title = _one_line(document.title) or _one_line(raw.name) or raw.uri
        chunks = await asyncio.to_thread(split_document, document)
        if not chunks:
            raise InputError("it holds no text")
        vectors = await self._embed([embedded_text(chunk, title) for chunk in chunks], step, handling.at_once)
        source = DocumentSource(raw.uri, title, document.kind or kind, len(raw.data), digest, document.notes)
        await self._shelf.put(source, scope, chunks, vectors, self._embedder.name if self._embedder else None)
        return IngestResult(raw.name, "updated" if known else "added", chunks=len(chunks), notes=document.notes)

    async def _embed(self, texts: list[str], step: ProgressCallback, at_once: int | None) -> Vectors | None:
        if self._embedder is None or (at_once is not None and len(texts) > at_once):
            return None
        try:
            return await self._embedded(self._embedder, texts, step)
        except EngineError:
            # who has just sent a document waits for an answer, and words find it too
            if at_once is None:
                raise
            return None

    async def _embedded(self, embedder: EmbeddingModel, texts: list[str], step: ProgressCallback) -> Vectors:
        done: list[Vectors] = []
        for start in range(0, len(texts), EMBED_BATCH_SIZE):
            step(start, len(texts))
            done.append(await embedder.documents(texts[start : start + EMBED_BATCH_SIZE]))
        step(len(texts), len(texts))
        return np.concatenate(done)

    async def _fetched(self, url: str) -> SourceFile:
        page = await self._fetcher.fetch(url)
        return SourceFile(url, storable(page.name or page.url), page.data, page.mime, page.encoding)


def is_url(source: str) -> bool:
    """Tell an address from a path."""
    return source.lower().startswith(("http://", "https://"))


def expand_source(source: str) -> Iterator[str]:
    """Yield the files of a folder that can be read, its folders' too; anything else as it is.

    Hidden files are left out, and so are symbolic links that lead out of the folder.
    """
    folder = Path(source).expanduser() if not is_url(source) and "\0" not in source else None
    files = _readable_files(folder) if folder and folder.is_dir() else []
    # a folder without any stands for itself, so that it is refused with the reason
    yield from map(str, files) if files else [source]


def _readable_files(folder: Path) -> list[Path]:
    """Return what can be read in a folder; folders that may not be entered are passed over."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        readable = (name for name in names if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES)
        found += [file for name in readable if _is_within(file := Path(place, name), folder)]
    return sorted(found)


def _is_within(file: Path, folder: Path) -> bool:
    """Tell whether a file lies in the folder; a symbolic link may lead out of it."""
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
            raise InputError(_too_large(size))
        with path.open("rb") as file:
            # a file that grows meanwhile is not read on and on
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        hint = "; a web address begins with https://" if source.lower().startswith("www.") else ""
        raise InputError(f"there is no such file{hint}") from None
    except (OSError, ValueError) as error:
        raise InputError(f"it cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return SourceFile(storable(str(path)), storable(path.name), data)


def _too_large(size: int) -> str:
    return f"it has {size / 1e6:,.0f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f} MB are taken: divide it"


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in storable(text)).split())[:_MAX_TITLE_CHARS]
