"""Whether a SQLite file is still the one that its connections write to: SQLite does not notice that it was removed."""

from __future__ import annotations

import errno
from pathlib import Path

Identity = tuple[int, int]
"""Device and inode."""


class Vanished(OSError):
    """The file, or its journal, was removed or replaced while it was open."""

    def __init__(self, file: Path) -> None:
        super().__init__(errno.ENOENT, "was removed or replaced while it was open", str(file))


class FileWatch:
    """Remembers the identity of the files that connections have open, and compares.

    Args:
        file: the database; its journal lies beside it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._journal = file.with_name(f"{file.name}-wal")
        self._noted: dict[Path, Identity] = {}
        self._connections = 0

    def opened(self) -> None:
        """Count a connection that was opened."""
        self._connections += 1

    def closed(self) -> None:
        """Count a connection that is closed; SQLite removes the journal with the last one."""
        self._connections -= 1
        if not self._connections:
            self._noted.pop(self._journal, None)

    def check(self) -> None:
        """Note the files that are new, and compare those that were noted before.

        Raises:
            Vanished: a file is gone, or another one is in its place.
        """
        for file in (self._file, self._journal) if self._connections else (self._file,):
            if file not in self._noted and (found := _identity(file)):
                self._noted[file] = found
        for file, noted in self._noted.items():
            if _identity(file) != noted:
                raise Vanished(file)

    def forget(self) -> None:
        """Forget the files, whose connections are closed."""
        self._noted.clear()


def _identity(file: Path) -> Identity | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
