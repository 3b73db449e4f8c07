"""Copies of one migrated SQLite file: a test that needs tables but not their making saves the migrations."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from qwendesk.memory.memory import Memory


def put_migrated(file: Path) -> None:
    """Put an empty database with all tables at a path, unless there is a file already."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.copy(_migrated(), file)


@contextmanager
def another_file_in_place(file: Path) -> Iterator[None]:
    """Put an empty file in the place of an open SQLite database, and the database back at the end."""
    found = [file.with_name(file.name + ending) for ending in ("", "-wal", "-shm")]
    away = [(path, path.with_name(f"away-{path.name}")) for path in found if path.exists()]
    for path, other in away:
        path.rename(other)
    file.touch()
    try:
        yield
    finally:
        for path, other in away:
            other.rename(path)


@cache
def _migrated() -> Path:
    """Migrate a database once a process, in a thread since the caller may have a running event loop."""
    folder = tempfile.TemporaryDirectory(prefix="qwendesk-migrated-")
    _folders.append(folder)
    file = Path(folder.name) / "qwendesk.db"
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _migrate(file)).result()
    return file


async def _migrate(file: Path) -> None:
    memory = Memory(f"sqlite+aiosqlite:///{file}")
    await memory.open()
    await memory.aclose()


_folders: list[tempfile.TemporaryDirectory[str]] = []
"""Removed at the end of the process."""
