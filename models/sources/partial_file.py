"""A partially downloaded file with an incremental checksum."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any

from qwendesk.errors import ModelStoreError

BLOCK_BYTES = 1 << 20
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)


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
