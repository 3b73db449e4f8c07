"""Detects that an open SQLite file was removed or replaced, which SQLite does not notice."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.exc import DisconnectionError

Identity = tuple[int, int]
"""Device and inode."""


class FileReplacedError(OSError):
    """The file or its journal was removed or replaced while it was open."""

    def __init__(self, file: Path) -> None:
        super().__init__(errno.ENOENT, "was removed or replaced while it was open", str(file))


class FileWatch:
    """Compares the identity of the database file and its journal with the open ones.

    Args:
        file: the database file; its journal is in the same folder.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._journal = _journal_of(file)
        self._noted: dict[Path, Identity] = {}
        self._connections = 0

    def opened(self) -> None:
        """Count an opened connection."""
        self._connections += 1

    def closed(self) -> None:
        """Count a closed connection; SQLite removes the journal with the last one."""
        self._connections -= 1
        if not self._connections:
            self._noted.pop(self._journal, None)

    def check(self) -> None:
        """Store the identity of new files and compare that of known ones.

        Raises:
            FileReplacedError: a file was removed or replaced.
        """
        for file in (self._file, self._journal) if self._connections else (self._file,):
            if file not in self._noted and (found := _identity(file)):
                self._noted[file] = found
        for file, noted in self._noted.items():
            if _identity(file) != noted:
                raise FileReplacedError(file)

    def forget(self) -> None:
        """Drop the stored identities after all connections were closed."""
        self._noted.clear()


def drop_stale_connections(engine: Engine, file: Path) -> None:
    """Let a pool replace each connection whose database file or journal is no longer the one at its path.

    A connection that was opened while another file was in place would otherwise read that file for ever.
    """

    @event.listens_for(engine, "checkout")
    def compare(_: object, record: Any, __: object) -> None:
        for path in (file, _journal_of(file)):
            found = _identity(path)
            if found and record.info.setdefault(path, found) != found:
                raise DisconnectionError(f"{path} was replaced")


def _journal_of(file: Path) -> Path:
    return file.with_name(f"{file.name}-wal")


def _identity(file: Path) -> Identity | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
