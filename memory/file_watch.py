"""Whether a SQLite file is still the one that its connections write to: SQLite goes on with a removed one unseen."""

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
    """Notes what is opened, and compares.

    Args:
        file: the database; its journal lies beside it.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._journal = file.with_name(f"{file.name}-wal")
        self._noted: dict[Path, Identity] = {}

    def note(self, *, journal: bool) -> None:
        """Note what is there and was not yet noted: the file, and its journal where that is asked for."""
        for file in (self._file, self._journal) if journal else (self._file,):
            if file not in self._noted and (found := _identity(file)):
                self._noted[file] = found

    def check(self) -> None:
        """Compare what was noted with what is there.

        Raises:
            Vanished: a file is gone, or another one is in its place.
        """
        for file, noted in self._noted.items():
            if _identity(file) != noted:
                raise Vanished(file)

    def forget(self) -> None:
        """Forget the files: their connections are closed."""
        self._noted.clear()


def _identity(file: Path) -> Identity | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
